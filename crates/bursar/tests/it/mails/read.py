"""Prints a folder of mails as JSON, read by Python's own mail library: headers, and the two parts decoded."""
import email, email.policy, json, pathlib, sys

mails = []
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.eml")):
    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    headers = [[name, str(value)] for name, value in mail.items()]
    parts = {part.get_content_type(): part.get_content() for part in mail.walk() if not part.is_multipart()}
    mails.append({"headers": headers, "parts": parts})
json.dump(mails, sys.stdout)
