<?php
// create-admin.php FILE LOGIN NAME EMAIL: writes the first account; its password comes on standard input.
[, $file, $login, $name, $email] = $argv;
$password = rtrim(stream_get_contents(STDIN), "\r\n");
if (strlen($password) < 12) {
    fwrite(STDERR, "the password is missing or too short\n");
    exit(1);
}
$escape = fn (string $field): string => str_replace(['\\', ':', '#'], ['\\\\', '\:', '\#'], $field);
$user = implode(':', [$escape($login), password_hash($password, PASSWORD_BCRYPT), $escape($name), $escape($email), 'admin,user']);
$head = "# users.auth.php\n# <?php exit()?>\n# Don't modify the lines above\n#\n# login:passwordhash:Real Name:email:groups,comma,separated\n\n";
umask(0027);
$new = $file . '.new';
if (file_put_contents($new, $head . $user . "\n") === false || !rename($new, $file)) {
    exit(1);
}
