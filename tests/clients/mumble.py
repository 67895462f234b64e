"""A Mumble client that enters a server and says what happened: mumble.py ADDRESS PORT DOMAIN AUTHORITY USER.

The password comes on standard input. Prints a line of JSON: whether it was let in, the topmost room and the welcome, or the
reason why not. Once it is in, it asks with the ping with which apps fill their lists: murmur's thread for datagrams is gone for a
moment when the last one leaves.
"""
import json
import socket
import ssl
import struct
import sys

VERSION, AUTHENTICATE, REJECT, SERVER_SYNC, CHANNEL_STATE = 0, 2, 4, 5, 7


def varint(number):
    out = b""
    while number > 0x7F:
        out += bytes([number & 0x7F | 0x80])
        number >>= 7
    return out + bytes([number])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode()
    return varint(number << 3 | 2) + varint(len(data)) + data


def fields(data):
    """The fields of a message, each with its last value."""
    found, at = {}, 0

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = number()
        if key & 7 == 0:
            found[key >> 3] = number()
        elif key & 7 == 2:
            size = number()
            found[key >> 3] = data[at : at + size]
            at += size
        else:
            at += 8 if key & 7 == 1 else 4
    return found


def exactly(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError("the server closed the connection")
        data += more
    return data


def enter(address, port, domain, authority, user, password):
    context = ssl.create_default_context(cafile=authority)
    plain = socket.create_connection((address, port), timeout=20)
    with context.wrap_socket(plain, server_hostname=domain) as connection:

        def send(kind, data):
            connection.sendall(struct.pack(">HI", kind, len(data)) + data)

        send(VERSION, field(1, 0x010300) + field(2, "a test"))
        send(AUTHENTICATE, field(1, user) + field(2, password) + field(5, 1))
        room = None
        while True:
            kind, size = struct.unpack(">HI", exactly(connection, 6))
            message = fields(exactly(connection, size))
            if kind == CHANNEL_STATE and message.get(1, 0) == 0:
                room = message.get(3, b"").decode()
            if kind == REJECT:
                return {"in": False, "reason": message.get(2, b"").decode(), "type": message.get(1, 0)}
            if kind == SERVER_SYNC:
                welcome = message.get(3, b"").decode()
                return {"in": True, "room": room, "welcome": welcome, "ping": ping(address, port)}


def ping(address, port):
    """Asks as apps do: again, when a datagram was lost."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.settimeout(4)
        for _ in range(5):
            connection.sendto(struct.pack(">IQ", 0, 4711), (address, port))
            try:
                _, echo, users, most, _ = struct.unpack(">IQIII", connection.recv(100))
            except TimeoutError:
                continue
            return {"echo": echo, "users": users, "max": most}
        raise TimeoutError("no answer to five pings")


def main():
    address, port, domain, authority, user = sys.argv[1:]
    print(json.dumps(enter(address, int(port), domain, authority, user, sys.stdin.read().strip())))


main()
