//! A sheet on paper: pages in A4, in letters that every reader of PDF has by itself.

use pdf_writer::{Content, Finish as _, Name, Pdf, Rect, Ref, Str};

/// A page and its margin, in points.
const WIDTH: f32 = 595.0;
const HEIGHT: f32 = 842.0;
const MARGIN: f32 = 54.0;

/// The width of each letter of Courier, in thousandths of its size.
const COURIER: f32 = 600.0;

/// The widths of Helvetica's letters from the space to the tilde, in thousandths of its size.
const HELVETICA: [u16; 95] = [
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556,
    556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278,
    500, 667, 556, 833, 722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469,
    556, 333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500,
    278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
];

/// How lines look.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    Title,
    Heading,
    Words,
    Typed,
}

impl Style {
    fn font(self) -> Name<'static> {
        match self {
            Self::Title | Self::Heading => Name(b"B"),
            Self::Words => Name(b"H"),
            Self::Typed => Name(b"C"),
        }
    }

    fn size(self) -> f32 {
        match self {
            Self::Title => 18.0,
            Self::Heading => 11.5,
            Self::Words => 9.5,
            Self::Typed => 8.5,
        }
    }

    /// From one line to the next.
    fn step(self) -> f32 {
        self.size() * 1.35
    }

    /// Free room above the first line after one of another kind.
    fn above(self) -> f32 {
        match self {
            Self::Title => 0.0,
            Self::Heading => 9.0,
            Self::Words => 3.0,
            Self::Typed => 3.5,
        }
    }

    /// How wide a text is, in points; letters beyond ASCII are taken for wide ones.
    fn width(self, text: &str) -> f32 {
        let letter = |letter: char| match self {
            Self::Typed => COURIER,
            _ => (letter as usize)
                .checked_sub(32)
                .and_then(|place| HELVETICA.get(place))
                .map_or(611.0, |width| f32::from(*width)),
        };
        text.chars().map(letter).sum::<f32>() * self.size() / 1000.0
    }
}

struct Line {
    style: Style,
    text: String,
    /// Whether another kind of line stood before it.
    first: bool,
}

/// The pages of a sheet's text. `foot` stands at the end of each, with the page's number.
pub fn pdf(text: &str, foot: impl Fn(usize, usize) -> String) -> Vec<u8> {
    let pages = pages(lines(text));
    let mut pdf = Pdf::new();
    let (catalogue, tree) = (Ref::new(1), Ref::new(2));
    let fonts = [(b"H", "Helvetica"), (b"B", "Helvetica-Bold"), (b"C", "Courier")];
    let font = |place: usize| Ref::new(3 + place as i32);
    let page_at = |place: usize| Ref::new(10 + 2 * place as i32);
    let content_at = |place: usize| Ref::new(11 + 2 * place as i32);
    pdf.catalog(catalogue).pages(tree);
    pdf.pages(tree)
        .kids((0..pages.len()).map(page_at))
        .count(pages.len() as i32);
    for (place, (_, name)) in fonts.iter().enumerate() {
        pdf.type1_font(font(place))
            .base_font(Name(name.as_bytes()))
            .encoding_predefined(Name(b"WinAnsiEncoding"));
    }
    for (place, lines) in pages.iter().enumerate() {
        let mut page = pdf.page(page_at(place));
        page.parent(tree)
            .media_box(Rect::new(0.0, 0.0, WIDTH, HEIGHT))
            .contents(content_at(place));
        let mut resources = page.resources();
        let mut names = resources.fonts();
        for (place, (name, _)) in fonts.iter().enumerate() {
            names.pair(Name(*name), font(place));
        }
        names.finish();
        resources.finish();
        page.finish();
        let drawn = draw(lines, &foot(place + 1, pages.len()));
        pdf.stream(content_at(place), &drawn);
    }
    pdf.finish()
}

/// The text, divided into lines that fit.
fn lines(text: &str) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    for line in text.lines() {
        let (style, line) = if let Some(line) = line.strip_prefix("## ") {
            (Style::Heading, line)
        } else if let Some(line) = line.strip_prefix("# ") {
            (Style::Title, line)
        } else if let Some(line) = line.strip_prefix("    ") {
            (Style::Typed, line)
        } else {
            (Style::Words, line)
        };
        let mut first = style != Style::Typed || lines.last().is_none_or(|line| line.style != style);
        for text in wrapped(line, style) {
            lines.push(Line { style, text, first });
            first = false;
        }
    }
    lines
}

/// A line in pieces that fit. What is typed goes on behind a backslash, as a shell reads it.
fn wrapped(line: &str, style: Style) -> Vec<String> {
    let room = WIDTH - 2.0 * MARGIN - if style == Style::Typed { 24.0 } else { 0.0 };
    let mut pieces = vec![String::new()];
    for word in line.split(' ') {
        let piece = pieces.last().map_or("", String::as_str);
        let longer = if piece.is_empty() {
            word.to_owned()
        } else {
            format!("{piece} {word}")
        };
        match pieces.last_mut() {
            Some(piece) if piece.is_empty() || style.width(&longer) <= room => *piece = longer,
            Some(piece) => {
                if style == Style::Typed {
                    piece.push_str(" \\");
                    pieces.push(format!("  {word}"));
                } else {
                    pieces.push(word.to_owned());
                }
            }
            None => {}
        }
    }
    pieces
}

/// The lines by page; a heading never ends one.
fn pages(lines: Vec<Line>) -> Vec<Vec<Line>> {
    let room = HEIGHT - 2.0 * MARGIN - 12.0;
    let mut pages = vec![Vec::new()];
    let mut used = 0.0;
    for line in lines {
        let above = if line.first { line.style.above() } else { 0.0 };
        let needed = match line.style {
            Style::Heading => 60.0,
            _ => line.style.step(),
        };
        if used + above + needed > room {
            pages.push(Vec::new());
            used = 0.0;
        }
        used += above + line.style.step();
        if let Some(page) = pages.last_mut() {
            page.push(line);
        }
    }
    pages
}

/// What is drawn on a page.
fn draw(lines: &[Line], foot: &str) -> Vec<u8> {
    let mut content = Content::new();
    let mut y = HEIGHT - MARGIN;
    for line in lines {
        let Line { style, text, first } = line;
        y -= style.step() + if *first { style.above() } else { 0.0 };
        let mut x = MARGIN;
        if *style == Style::Typed {
            content.set_fill_gray(0.93);
            content.rect(MARGIN, y - 3.0, WIDTH - 2.0 * MARGIN, style.step());
            content.fill_nonzero();
            x += 6.0;
        }
        write(&mut content, *style, x, y, text);
    }
    write(&mut content, Style::Words, MARGIN, MARGIN - 18.0, foot);
    content.finish().into_vec()
}

fn write(content: &mut Content, style: Style, x: f32, y: f32, text: &str) {
    content.set_fill_gray(0.0);
    content.begin_text();
    content.set_font(style.font(), style.size());
    content.next_line(x, y);
    content.show(Str(&encoded(text)));
    content.end_text();
}

/// Windows-1252, which is what the fonts are told to read; what it has no letter for becomes a question mark.
fn encoded(text: &str) -> Vec<u8> {
    let letter = |letter: char| match letter {
        ' '..='~' | '\u{a0}'..='\u{ff}' => letter as u8,
        '€' => 0x80,
        '„' => 0x84,
        '…' => 0x85,
        '‘' => 0x91,
        '’' => 0x92,
        '“' => 0x93,
        '”' => 0x94,
        '•' => 0x95,
        '–' => 0x96,
        '—' => 0x97,
        _ => b'?',
    };
    text.chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_goes_on_as_a_shell_reads_it() {
        let line = format!(
            "restic dump {} | mariadb kita",
            "--tag part:dump:database ".repeat(6)
        );
        let pieces = wrapped(&line, Style::Typed);
        assert!(pieces.len() > 1);
        let joined = pieces.join("\n").replace(" \\\n  ", " ");
        assert_eq!(joined, line);
    }

    #[test]
    fn letters_of_german_are_found_and_others_do_no_harm() {
        assert_eq!(encoded("Süß – „x“ 語"), b"S\xfc\xdf \x96 \x84x\x93 ?");
    }
}
