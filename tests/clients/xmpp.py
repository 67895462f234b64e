# Logs in to an XMPP server as an app does: STARTTLS with the certificate looked at, then SASL PLAIN.
#   xmpp.py ADDRESS DOMAIN AUTHORITY USER < password
import base64, json, socket, ssl, sys

address, domain, authority, user = sys.argv[1:]
password = sys.stdin.readline().strip()
OPENING = (f"<?xml version='1.0'?><stream:stream to='{domain}' xmlns='jabber:client' "
           "xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>").encode()


def until(line, *ends):
    text = ""
    while not any(end in text for end in ends):
        part = line.recv(65536)
        if not part:
            break
        text += part.decode()
    return text


plain = socket.create_connection((address, 5222), 20)
plain.sendall(OPENING)
before = until(plain, "</stream:features>")
plain.sendall(b"<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>")
until(plain, "<proceed", "<failure")
line = ssl.create_default_context(cafile=authority).wrap_socket(plain, server_hostname=domain)
line.sendall(OPENING)
until(line, "</stream:features>")
token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
line.sendall(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{token}</auth>".encode())
said = until(line, "<success", "<failure")
print(json.dumps({"in": "<success" in said, "asks_for_password_without_tls": "PLAIN" in before}))
