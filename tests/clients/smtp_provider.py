"""A mail provider: STARTTLS, a login, and every mail that it took as a line of JSON: smtp_provider.py CERTIFICATE KEY PASSWORD-FILE
MAILS. Needs python3-aiosmtpd; listens on port 587 until it is ended."""
import json
import ssl
import sys
import threading

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

certificate, key, password_file, mails = sys.argv[1:]


class Mailbox:
    async def handle_DATA(self, server, session, envelope):
        mail = {
            "login": session.auth_data.login.decode(),
            "tls": session.ssl is not None,
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "content": envelope.content.decode(),
        }
        with open(mails, "a") as file:
            print(json.dumps(mail), file=file)
        return "250 taken"


def log_in(server, session, envelope, mechanism, data):
    with open(password_file) as file:
        good = (data.login, data.password) == (b"technik@kita-sonne.test", file.read().strip().encode())
    return AuthResult(success=good, handled=False, auth_data=data)


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain(certificate, key)
Controller(
    Mailbox(),
    hostname="0.0.0.0",
    port=587,
    tls_context=context,
    require_starttls=True,
    authenticator=log_in,
    auth_required=True,
    auth_require_tls=True,
).start()
threading.Event().wait()
