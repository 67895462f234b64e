//! Resources that cannot be brought about, each with the words that say why.

/// When a bad resource is refused.
#[derive(PartialEq)]
pub enum Refused {
    /// Before anything is touched.
    AtOnce,
    /// When its turn comes, for something before it might have mended it.
    InTurn,
}

/// A resource that cannot be brought about.
pub struct Bad {
    /// The resource, without its `[[resources]]`.
    pub resource: &'static str,
    pub refused: Refused,
    /// What the one error says.
    pub words: &'static str,
    /// A command on the host that ends well when nothing was half changed.
    pub unharmed: &'static str,
}

const fn at_once(resource: &'static str, words: &'static str) -> Bad {
    Bad {
        resource,
        refused: Refused::AtOnce,
        words,
        unharmed: "true",
    }
}

const fn in_turn(resource: &'static str, words: &'static str, unharmed: &'static str) -> Bad {
    Bad {
        resource,
        refused: Refused::InTurn,
        words,
        unharmed,
    }
}

pub const BAD: &[Bad] = &[
    at_once(
        "kind = 'file'\npath = 'etc/x'\ncontent = ''",
        "\"etc/x\" is no path",
    ),
    at_once(
        "kind = 'file'\npath = '/etc/../x'\ncontent = ''",
        "\"/etc/../x\" is no path",
    ),
    at_once(
        "kind = 'file'\npath = '/etc/x'\ncontent = ''\nmode = '0999'",
        "\"0999\" is no mode",
    ),
    at_once("kind = 'file'\npath = '/etc/x'\ncontent = ''\nmode = 644", "mode"),
    at_once(
        "kind = 'file'\npath = '/etc/x'\ncontent = ''\nownr = 'root'",
        "ownr",
    ),
    at_once(
        "kind = 'file'\npath = '/etc/x'\ncontent = ''\nsource = 'x'",
        "source",
    ),
    at_once(
        "kind = 'file'\npath = '/etc/x'\ntemplate = 'nowhere'",
        "files/nowhere",
    ),
    at_once(
        "kind = 'file'\npath = '/etc/x'\ncontent = '{{ nothing }}'",
        "nothing",
    ),
    at_once(
        "kind = 'file'\npath = '/etc/x'\ncontent = ''\nnotify = ['nobody']",
        "nobody",
    ),
    at_once("kind = 'folder'\npath = '/etc/x'", "folder"),
    in_turn(
        "kind = 'file'\npath = '/etc/x'\ncontent = ''\nowner = 'nobody-knows'",
        "the user nobody-knows does not exist",
        "test ! -e /etc/x",
    ),
    in_turn(
        "kind = 'file'\npath = '/etc/x'\ncontent = ''\ngroup = 'nobody-knows'",
        "the group nobody-knows does not exist",
        "test ! -e /etc/x",
    ),
    in_turn(
        "kind = 'file'\npath = '/etc/ssh/sshd_config'\ncontent = 'nonsense'\nvalidate = ['sshd', '-t', '-f', '{}']",
        "/etc/ssh/sshd_config",
        "sshd -t && ! grep -q nonsense /etc/ssh/sshd_config && test -z \"$(ls -A /etc/ssh | grep -i allmende)\"",
    ),
    in_turn(
        "kind = 'file'\npath = '/etc/ssh'\ncontent = ''",
        "/etc/ssh is a directory, not a file",
        "test -d /etc/ssh",
    ),
    at_once(
        "kind = 'directory'\npath = '/srv/x'\nmode = 'rwx'",
        "\"rwx\" is no mode",
    ),
    in_turn(
        "kind = 'directory'\npath = '/etc/passwd'",
        "/etc/passwd is a file, not a directory",
        "test -s /etc/passwd",
    ),
    in_turn(
        "kind = 'directory'\npath = '/srv/x'\nowner = 'nobody-knows'",
        "the user nobody-knows does not exist",
        "test ! -e /srv/x",
    ),
    at_once("kind = 'link'\npath = 'x'\ntarget = '/etc'", "\"x\" is no path"),
    at_once(
        "kind = 'link'\npath = '/srv/x'\ntarget = ''",
        "the target of the link /srv/x is empty",
    ),
    in_turn(
        "kind = 'link'\npath = '/etc/passwd'\ntarget = '/etc/shadow'",
        "/etc/passwd is a file, not a symbolic link",
        "test -f /etc/passwd -a ! -L /etc/passwd",
    ),
    at_once("kind = 'absent'\npath = '/'", "\"/\" is no path"),
    in_turn(
        "kind = 'absent'\npath = '/etc/ssh'",
        "only empty directories are removed",
        "sshd -t",
    ),
    at_once(
        "kind = 'line'\npath = '/etc/x'\nline = 'x'\nmatches = '('",
        "is no regular expression",
    ),
    at_once(
        "kind = 'line'\npath = '/etc/x'\nline = \"a\\nb\"",
        "is more than one line",
    ),
    in_turn(
        "kind = 'line'\npath = '/etc'\nline = 'x'",
        "/etc is a directory, not a file",
        "test -d /etc",
    ),
    at_once(
        "kind = 'user'\nname = 'Anna!'",
        "\"Anna!\" is no user or group name",
    ),
    at_once("kind = 'user'\nname = 'root'", "the user root is not changed"),
    at_once(
        "kind = 'user'\nname = 'anna'\nhome = 'anna'",
        "\"anna\" is no path",
    ),
    in_turn(
        "kind = 'user'\nname = 'anna'\ngroups = ['nobody-knows']",
        "nobody-knows",
        "! getent passwd anna",
    ),
    in_turn(
        "kind = 'user'\nname = 'daemon'\nuid = 4711",
        "the user daemon has the id 1 and not 4711",
        "true",
    ),
    at_once("kind = 'group'\nname = 'a b'", "\"a b\" is no user or group name"),
    in_turn(
        "kind = 'group'\nname = 'daemon'\ngid = 4711",
        "the group daemon has the id 1",
        "true",
    ),
    at_once(
        "kind = 'unit'\nname = 'nginx'\nrunning = true",
        "\"nginx\" is no unit",
    ),
    in_turn(
        "kind = 'unit'\nname = 'nowhere.service'\nenabled = true\nrunning = true",
        "there is no unit nowhere.service on this host",
        "true",
    ),
    at_once(
        "kind = 'package'\nnames = ['--yes']",
        "\"--yes\" is no package name",
    ),
    at_once("kind = 'package'\nnames = []", "names no packages"),
    in_turn(
        "kind = 'package'\nnames = ['bc', 'no-such-package-at-all']",
        "no-such-package-at-all",
        "! dpkg-query -W bc",
    ),
    at_once(
        "kind = 'postgres_role'\nname = 'pg_all'",
        "\"pg_all\" is no name for a role or database",
    ),
    in_turn(
        "kind = 'postgres_role'\nname = 'anna'",
        "PostgreSQL is not installed on this host",
        "true",
    ),
    at_once(
        "kind = 'postgres_database'\nname = 'x'\nowner = 'x'\nencoding = 'utf-8'",
        "\"utf-8\" is no encoding",
    ),
    at_once(
        "kind = 'postgres_database'\nname = 'x; DROP'\nowner = 'x'",
        "\"x; DROP\" is no name for a role",
    ),
    in_turn(
        "kind = 'mariadb_user'\nname = 'anna'",
        "MariaDB is not installed on this host",
        "true",
    ),
    at_once(
        "kind = 'mariadb_user'\nname = 'root'",
        "\"root\" is no name for a user",
    ),
    at_once(
        "kind = 'mariadb_database'\nname = 'x'\nowner = 'x'\ncollation = 'latin1_german1_ci'",
        "\"latin1_german1_ci\" is no collation",
    ),
    at_once(
        "kind = 'firewall'\nname = '../x'\ntcp = [80]",
        "\"../x\" is no name",
    ),
    at_once("kind = 'firewall'\nname = 'x'\ntcp = [0]", "0 is no port"),
    at_once("kind = 'firewall'\nname = 'x'\nudp = [70000]", "70000"),
    at_once(
        "kind = 'certificate'\nnames = ['a.test']\ncertificate = 'tls.crt'\nkey = '/etc/tls.key'",
        "\"tls.crt\" is no path",
    ),
    at_once(
        "kind = 'certificate'\nnames = []\ncertificate = '/etc/tls.crt'\nkey = '/etc/tls.key'",
        "names no domain",
    ),
    at_once("kind = 'command'\nargv = ['true']", "has no guard"),
    at_once("kind = 'command'\nargv = []\ncreates = '/x'", "names no program"),
    at_once(
        "kind = 'command'\nargv = ['./x']\ncreates = '/x'",
        "\"./x\" is no program",
    ),
    at_once(
        "kind = 'command'\nargv = ['true']\ncreates = '/x'\ntimeout = 0",
        "a timeout is between one second and a day",
    ),
    at_once(
        "kind = 'command'\nargv = ['echo', '{{ word }}']\ncreates = '/x'",
        "a secret stands in arguments",
    ),
    at_once(
        "kind = 'command'\nargv = ['true']\ncreates = '/x'\nenv = { WORD = '{{ word }}' }",
        "a secret stands in arguments or environment",
    ),
    in_turn(
        "kind = 'command'\nargv = ['no-such-program']\ncreates = '/x'",
        "no-such-program",
        "true",
    ),
    in_turn(
        "kind = 'command'\nargv = ['sh', '-c', 'echo out of paper >&2; exit 7']\ncreates = '/x'",
        "out of paper",
        "true",
    ),
    in_turn(
        "kind = 'command'\nargv = ['true']\ncreates = '/srv/made'",
        "/srv/made",
        "true",
    ),
    in_turn(
        "kind = 'command'\nargv = ['sleep', '99']\ncreates = '/x'\ntimeout = 1",
        "sleep 99",
        "! pgrep -x sleep",
    ),
    in_turn(
        "kind = 'command'\nargv = ['true']\ncreates = '/x'\nuser = 'nobody-knows'",
        "nobody-knows",
        "true",
    ),
    in_turn(
        "kind = 'command'\nargv = ['true']\ncreates = '/x'\ncwd = '/nowhere'",
        "/nowhere",
        "true",
    ),
    at_once(
        "kind = 'archive'\npath = 'x'\nsource = '@good@'",
        "\"x\" is no path",
    ),
    at_once(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@good@'\nsha256 = 'abc'",
        "abc",
    ),
    at_once(
        "kind = 'archive'\npath = '/srv/x'\nsource = '/nowhere.tar'",
        "/nowhere.tar",
    ),
    at_once(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@good@'\nsha256 = '0000000000000000000000000000000000000000000000000000000000000000'",
        "expected was 0000",
    ),
    in_turn(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@climbing@'",
        "leads out of its directory",
        NO_TREE,
    ),
    in_turn(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@absolute@'",
        "has an absolute name",
        NO_TREE,
    ),
    in_turn(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@linked@'",
        "is a link to an absolute path",
        NO_TREE,
    ),
    in_turn(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@winding@'",
        "is a link that leads out of the tree",
        NO_TREE,
    ),
    in_turn(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@cut@'",
        "is damaged",
        NO_TREE,
    ),
    in_turn(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@text@'",
        "no tar archive",
        NO_TREE,
    ),
    in_turn(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@good@'\nstrip = 9",
        "nothing is left of its names",
        NO_TREE,
    ),
    in_turn(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@good@'\nowner = 'nobody-knows'",
        "the user nobody-knows does not exist",
        NO_TREE,
    ),
];

/// Neither the tree nor anything of it beside it, nor what a way out would have led to.
const NO_TREE: &str = "test ! -e /srv/x -a ! -e /etc/escaped -a -z \"$(ls -A /srv | grep -v first)\"";
