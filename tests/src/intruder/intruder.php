<?php
// The same from inside a PHP pool, with what PHP itself knows: reads a task as the request's body.
error_reporting(0);
set_time_limit(170);
$task = json_decode(file_get_contents('php://input'), true);
$findings = [];
$found = function (string $how, string $what, string $whose) use (&$findings): void {
    $findings[] = ['how' => $how, 'what' => $what, 'whose' => $whose];
};
foreach ($task['paths'] as ['path' => $path, 'kind' => $kind, 'whose' => $whose]) {
    if ($kind === 'socket') {
        stream_socket_client("unix://$path", $code, $message, 2) && $found('connects to', $path, $whose);
    } elseif ($kind === 'folder') {
        (scandir($path) !== false || glob("$path/*")) && $found('lists', $path, $whose);
    } else {
        file_get_contents($path, false, null, 0, 1) !== false && $found('reads', $path, $whose);
        fopen($path, 'r+') && $found('writes', $path, $whose);
    }
}
$cached = array_keys(opcache_get_status(true)['scripts'] ?? []);
if (function_exists('apcu_cache_info')) {
    $cached = array_merge($cached, array_column(apcu_cache_info()['cache_list'] ?? [], 'info'));
}
foreach ($task['others'] as $other) {
    foreach ($cached as $name) {
        str_contains($name, $other) && $found('sees in the cache', $name, $other);
    }
    if (function_exists('mysqli_connect')) {
        mysqli_report(MYSQLI_REPORT_OFF);
        mysqli_connect('localhost', $other, '', $other, 0, '/run/mysqld/mysqld.sock') && $found('logs in to MariaDB as', $other, $other);
    }
    if (function_exists('pg_connect')) {
        foreach (['', " user='$other'"] as $as) {
            pg_connect("host=/run/postgresql connect_timeout=3 dbname='$other'$as") && $found('logs in to PostgreSQL as', $other, $other);
        }
    }
}
header('Content-Type: application/json');
echo json_encode(['user' => posix_getuid(), 'own' => is_readable(__FILE__), 'findings' => $findings]);
