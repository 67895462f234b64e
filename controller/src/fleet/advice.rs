//! What keeps the controller out of a host, judged by its SSH server's settings.

/// What to do, from what `sshd -T` says.
pub(super) fn advice_on(settings: &[String]) -> String {
    let value = |name: &str| {
        let setting = settings.iter().find_map(|line| {
            let (key, value) = line.split_once(' ')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        });
        setting.unwrap_or_default().to_owned()
    };
    let all = |name: &str| -> Vec<String> {
        let of = |line: &String| {
            let (key, value) = line.split_once(' ')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
        };
        settings
            .iter()
            .filter_map(of)
            .flat_map(|value| value.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
            .collect()
    };
    let write =
        "into /etc/ssh/sshd_config.d/10-allmende.conf, run `systemctl reload ssh`, and repeat this command";
    if value("permitrootlogin") == "no" {
        return format!(
            "Its SSH server lets root in by no means (PermitRootLogin no): put `PermitRootLogin forced-commands-only` {write}; root \
             can then start the agent and nothing else"
        );
    }
    if value("pubkeyauthentication") == "no" {
        return format!(
            "Its SSH server accepts no keys (PubkeyAuthentication no): put `PubkeyAuthentication yes` {write}"
        );
    }
    let files = all("authorizedkeysfile");
    if !files.is_empty() && !files.iter().any(|file| is_roots_authorized_keys(file)) {
        return format!(
            "Its SSH server reads keys from {}, not from /root/.ssh/authorized_keys: put `AuthorizedKeysFile {} .ssh/authorized_keys` \
             {write}",
            files.join(" and "),
            files.join(" ")
        );
    }
    let denied = all("denyusers");
    let allowed = all("allowusers");
    let is_root = |user: &String| user.split('@').next() == Some("root");
    if denied.iter().any(is_root) {
        return "Its SSH server keeps root out (DenyUsers): take root out of that setting in /etc/ssh/sshd_config".to_owned();
    }
    if !allowed.is_empty() && !allowed.iter().any(is_root) {
        return format!(
            "Its SSH server lets in only {} (AllowUsers): add root to that setting in /etc/ssh/sshd_config; with Allmende's key it \
             can only start the agent",
            allowed.join(", ")
        );
    }
    if !all("allowgroups").is_empty() || !all("denygroups").is_empty() {
        return "Its SSH server judges by groups (AllowGroups, DenyGroups): see that root may log in"
            .to_owned();
    }
    let methods = value("authenticationmethods");
    if !matches!(methods.as_str(), "" | "any" | "publickey") {
        return format!(
            "Its SSH server wants more than a key (AuthenticationMethods {methods}): allow `publickey` alone for root in a `Match \
             User root` block"
        );
    }
    "See what its SSH server says about it: `journalctl -u ssh -n 20`".to_owned()
}

fn is_roots_authorized_keys(file: &str) -> bool {
    matches!(
        file,
        ".ssh/authorized_keys" | "%h/.ssh/authorized_keys" | "/root/.ssh/authorized_keys"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(settings: &[&str]) -> String {
        advice_on(&settings.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn advice_names_the_setting_that_is_in_the_way() {
        // As `sshd -T` prints them.
        let usual = "authorizedkeysfile .ssh/authorized_keys .ssh/authorized_keys2";
        for (settings, wanted) in [
            (
                &["permitrootlogin no"][..],
                "`PermitRootLogin forced-commands-only`",
            ),
            (
                &["permitrootlogin without-password", "pubkeyauthentication no"],
                "`PubkeyAuthentication yes`",
            ),
            (
                &["authorizedkeysfile /etc/ssh/keys/%u"],
                "/etc/ssh/keys/%u .ssh/authorized_keys`",
            ),
            (
                &[usual, "allowusers anna", "allowusers ben@192.0.2.*"],
                "only anna, ben@192.0.2.*",
            ),
            (
                &["allowusers anna root@192.0.2.1", "denyusers root"],
                "take root out",
            ),
            (&["allowgroups sudo"], "AllowGroups"),
            (
                &[usual, "authenticationmethods publickey,password"],
                "publickey,password",
            ),
            (
                &[
                    usual,
                    "permitrootlogin without-password",
                    "authenticationmethods any",
                ],
                "journalctl",
            ),
            (&[], "journalctl"),
        ] {
            let advice = advice(settings);
            assert!(advice.contains(wanted), "{settings:?}: {advice}");
        }
    }
}
