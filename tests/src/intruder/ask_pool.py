# ask_pool.py SOCKET SCRIPT: one FastCGI request with standard input as its body, as the web server would send it.
import socket, struct, sys

path, script = sys.argv[1:]
body = sys.stdin.buffer.read()


def record(kind, content):
    return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content


def pairs(values):
    size = lambda text: struct.pack(">I", len(text) | 0x80000000)
    encoded = ((name.encode(), value.encode()) for name, value in values.items())
    return b"".join(size(name) + size(value) + name + value for name, value in encoded)


def stream(kind, content):
    chunks = [content[start:start + 65528] for start in range(0, len(content), 65528)]
    return b"".join(record(kind, chunk) for chunk in [*chunks, b""])


pool = socket.socket(socket.AF_UNIX)
pool.connect(path)
pool.sendall(record(1, struct.pack(">HB5x", 1, 0)))
pool.sendall(stream(4, pairs({"REQUEST_METHOD": "POST", "SCRIPT_FILENAME": script, "SCRIPT_NAME": "/x.php", "REQUEST_URI": "/x.php",
                              "CONTENT_LENGTH": str(len(body)), "CONTENT_TYPE": "application/json", "SERVER_NAME": "localhost"})))
pool.sendall(stream(5, body))
answer = pool.makefile("rb")
output = b""
while header := answer.read(8):
    _, kind, _, length, padding = struct.unpack(">BBHHBx", header)
    content = answer.read(length + padding)[:length]
    if kind == 6:
        output += content
    elif kind == 7:
        sys.stderr.buffer.write(content)
    elif kind == 3:
        break
print(output.partition(b"\r\n\r\n")[2].decode())
