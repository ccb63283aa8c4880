"""People: e-mails, platform contacts and visitors, each with the evidence that ties it to a person."""
