//! Rendering: strings with minijinja, after TOML has been parsed.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, Value};

use super::error::Problem;
use crate::model::is_public_name;

/// The variables that strings may use.
pub type Variables = BTreeMap<String, Value>;

/// Renders strings. Undefined variables, `none` and unknown filters are errors.
pub struct Renderer {
    environment: Environment<'static>,
}

impl Renderer {
    /// A renderer with Allmende's own filters.
    pub fn new() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        if let Ok(syntax) = syntax {
            environment.set_syntax(syntax);
        }
        environment.set_formatter(|out, state, value| {
            if value.is_none() {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    "`none` cannot be printed",
                ));
            }
            match bool::try_from(value.clone()) {
                Ok(truth) if value.kind() == minijinja::value::ValueKind::Bool => {
                    out.write_str(if truth { "true" } else { "false" })?;
                    Ok(())
                }
                _ => minijinja::escape_formatter(out, state, value),
            }
        });
        environment.add_filter("php", php);
        environment.add_filter("json", json);
        environment.add_test("public_name", |name: String| is_public_name(&name));
        Self { environment }
    }

    /// Renders a text.
    ///
    /// # Errors
    /// What is wrong with it; never a variable's value.
    pub fn text(&self, raw: &str, variables: &Variables) -> Result<String, Problem> {
        if !is_template(raw) {
            return Ok(raw.to_owned());
        }
        let template = self.environment.template_from_str(raw).map_err(problem)?;
        defined(template.undeclared_variables(false), variables)?;
        template.render(context(variables)).map_err(problem)
    }

    /// Evaluates an expression.
    ///
    /// # Errors
    /// What is wrong with it; never a variable's value.
    pub fn expression(&self, raw: &str, variables: &Variables) -> Result<Value, Problem> {
        let expression = self.environment.compile_expression(raw).map_err(problem)?;
        defined(expression.undeclared_variables(false), variables)?;
        expression.eval(context(variables)).map_err(problem)
    }

    /// Renders every string in a TOML value. A string that is exactly one expression becomes that expression's value.
    ///
    /// # Errors
    /// What is wrong and in which field; never a variable's value.
    pub fn toml(&self, raw: &toml::Value, variables: &Variables) -> Result<toml::Value, Problem> {
        Ok(match raw {
            toml::Value::String(text) => match sole_expression(text) {
                Some(expression) => {
                    let value = self.expression(expression, variables)?;
                    to_toml(&value)?
                }
                None => toml::Value::String(self.text(text, variables)?),
            },
            toml::Value::Array(items) => toml::Value::Array(
                items
                    .iter()
                    .map(|item| self.toml(item, variables))
                    .collect::<Result<_, _>>()?,
            ),
            toml::Value::Table(table) => toml::Value::Table(self.table(table, variables)?),
            other => other.clone(),
        })
    }

    /// [`Renderer::toml`] for a table.
    ///
    /// # Errors
    /// What is wrong and in which field; never a variable's value.
    pub fn table(&self, raw: &toml::Table, variables: &Variables) -> Result<toml::Table, Problem> {
        raw.iter()
            .map(|(key, value)| {
                let value = self
                    .toml(value, variables)
                    .map_err(|problem| problem.inside(key))?;
                Ok((key.clone(), value))
            })
            .collect()
    }

    /// The variables that the strings of a TOML value use.
    ///
    /// # Errors
    /// A string that cannot be parsed.
    pub fn references(&self, raw: &toml::Value) -> Result<BTreeSet<String>, Problem> {
        let mut found = BTreeSet::new();
        match raw {
            toml::Value::String(text) if is_template(text) => found.extend(
                self.environment
                    .template_from_str(text)
                    .map_err(problem)?
                    .undeclared_variables(false),
            ),
            toml::Value::Array(items) => {
                for item in items {
                    found.extend(self.references(item)?);
                }
            }
            toml::Value::Table(table) => {
                for (key, item) in table {
                    found.extend(self.references(item).map_err(|problem| problem.inside(key))?);
                }
            }
            _ => {}
        }
        Ok(found)
    }

    /// The variables that an expression uses.
    ///
    /// # Errors
    /// An expression that cannot be parsed.
    pub fn expression_references(&self, raw: &str) -> Result<BTreeSet<String>, Problem> {
        let expression = self.environment.compile_expression(raw).map_err(problem)?;
        Ok(expression.undeclared_variables(false).into_iter().collect())
    }
}

fn context(variables: &Variables) -> Value {
    Value::from_pairs(
        variables
            .iter()
            .map(|(name, value)| (name.clone(), value.clone())),
    )
}

/// Only the kind, the detail and the line: the longer forms of the error print variables.
fn problem(error: Error) -> Problem {
    let detail = error
        .detail()
        .map_or_else(|| error.kind().to_string(), str::to_owned);
    match error.line() {
        Some(line) if line > 1 => Problem::new(format!("{detail} (line {line})")),
        _ => Problem::new(detail),
    }
}

fn defined(used: impl IntoIterator<Item = String>, variables: &Variables) -> Result<(), Problem> {
    let mut missing: Vec<String> = used
        .into_iter()
        .filter(|name| !variables.contains_key(name) && !GLOBALS.contains(&name.as_str()))
        .collect();
    missing.sort();
    match missing.as_slice() {
        [] => Ok(()),
        missing => Err(Problem::new(format!("undefined variable {}", missing.join(", ")))),
    }
}

/// Functions that minijinja itself defines; it counts them as undeclared.
const GLOBALS: [&str; 4] = ["range", "dict", "namespace", "debug"];

fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

/// The expression in `"{{ expression }}"`, if the string is nothing else; blanks and line ends around it are text.
fn sole_expression(text: &str) -> Option<&str> {
    let inner = text.strip_prefix("{{")?.strip_suffix("}}")?;
    (!inner.contains("{{") && !inner.contains("}}")).then(|| inner.trim())
}

fn to_toml(value: &Value) -> Result<toml::Value, Problem> {
    if value.is_undefined() || value.is_none() {
        return Err(Problem::new("the expression has no value"));
    }
    toml::Value::try_from(value)
        .map_err(|_| Problem::new("the expression's value is neither text, number, boolean, list nor table"))
}

/// A TOML value as a variable.
pub fn from_toml(value: &toml::Value) -> Value {
    Value::from(Serde(value))
}

/// A PHP string literal in single quotes.
fn php(text: String) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

fn json(value: Value) -> Result<String, Error> {
    serde_json::to_string(&value).map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        [
            ("domain", Value::from("cloud.kita.test")),
            ("port", Value::from(8080)),
            ("on", Value::from(true)),
            ("names", Value::from(vec!["a", "b"])),
            ("number_like", Value::from("0644")),
            ("quote", Value::from("it's \\ here")),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
    }

    fn render(text: &str) -> Result<toml::Value, Problem> {
        Renderer::new().toml(&toml::Value::String(text.to_owned()), &variables())
    }

    #[test]
    fn a_sole_expression_keeps_its_type_and_text_stays_text() {
        assert_eq!(render("{{ port }}"), Ok(toml::Value::Integer(8080)));
        assert_eq!(render("{{ on }}"), Ok(toml::Value::Boolean(true)));
        assert_eq!(
            render("{{ names }}"),
            Ok(toml::Value::Array(vec!["a".into(), "b".into()]))
        );
        assert_eq!(render("{{ number_like }}"), Ok("0644".into()));
        assert_eq!(render(":{{ port }} {{ on }}"), Ok(":8080 true".into()));
    }

    #[test]
    fn a_line_end_behind_an_expression_is_not_lost() {
        assert_eq!(render("{{ port }}\n"), Ok("8080\n".into()));
        assert_eq!(render(" {{ on }}"), Ok(" true".into()));
    }

    #[test]
    fn an_undefined_variable_is_named() {
        for text in ["{{ domian }}", "x {{ domian }}", "{% if domian %}x{% endif %}"] {
            let problem = render(text).expect_err(text);
            assert!(
                problem.to_string().contains("undefined variable domian"),
                "{problem}"
            );
        }
    }

    #[test]
    fn none_and_broken_syntax_are_errors() {
        assert!(render("x{{ none }}").is_err());
        assert!(render("{{ none }}").is_err());
        assert!(render("{{ domain").is_err());
        assert!(render("{{ domain | nofilter }}").is_err());
    }

    #[test]
    fn php_literals_are_closed() {
        assert_eq!(render("{{ quote | php }};"), Ok("'it\\'s \\\\ here';".into()));
    }

    #[test]
    fn a_name_is_public_or_not() {
        assert_eq!(render("{{ domain is public_name }}"), Ok(false.into()));
        assert_eq!(render("{{ 'cloud.kita.de' is public_name }}"), Ok(true.into()));
    }

    #[test]
    fn references_are_found_in_depth() {
        let raw: toml::Value = toml::from_str::<toml::Table>("a = ['{{ x }}', { b = '{{ y.z }}' }]")
            .expect("parses")
            .into();
        let found = Renderer::new().references(&raw).expect("parses");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["x", "y"]);
    }
}
