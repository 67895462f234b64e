<?php
// accounts.php list | add LOGIN NAME EMAIL | password LOGIN | remove LOGIN: the wiki's accounts, by DokuWiki's own means.
// Passwords come on standard input. Run with the service's prepend.php, as the service's user.
define('NOSESSION', 1);
define('DOKU_INC', '/usr/share/dokuwiki/');
require_once DOKU_INC . 'inc/init.php';

$accounts = plugin_load('auth', 'authplain');
$arguments = array_slice($argv, 2);

/** One sentence for people, and the end. */
function refuse(string $sentence): never
{
    fwrite(STDERR, $sentence . "\n");
    exit(1);
}

function password(): string
{
    $password = rtrim(stream_get_contents(STDIN), "\r\n");
    return strlen($password) < 8 ? refuse('The password is missing or too short.') : $password;
}

function known(string $login): string
{
    global $accounts;
    return $accounts->getUserData($login) ? $login : refuse("There is no account $login.");
}

switch ($argv[1] ?? '') {
    case 'list':
        $list = [];
        foreach ($accounts->retrieveUsers(0, 0) as $login => $account) {
            $list[] = ['user' => $login, 'name' => $account['name'], 'email' => $account['mail'], 'groups' => $account['grps']];
        }
        echo json_encode($list, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_THROW_ON_ERROR), "\n";
        break;
    case 'add':
        [$login, $name, $email] = $arguments;
        if ($accounts->getUserData($login)) {
            refuse("There is an account $login already.");
        }
        $accounts->createUser($login, password(), $name, $email) || refuse("The account $login could not be written.");
        break;
    case 'password':
        $login = known($arguments[0]);
        $accounts->modifyUser($login, ['pass' => password()]) || refuse("The account $login could not be written.");
        break;
    case 'remove':
        $accounts->deleteUsers([known($arguments[0])]) === 1 || refuse('The account could not be removed.');
        break;
    default:
        refuse('Expected list, add, password or remove.');
}
