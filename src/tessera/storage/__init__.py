"""The database: engine, schema, migrations, and a commit that many callers share.

What a row means belongs to the room that writes it; this room promises that a committed change
survives `kill -9` and a power cut, and that an integer comes back as it went in.
"""
