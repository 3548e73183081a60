"""What a contract does, found by running it: does money reach holders, and who can stop that?

A name is no proof (metrics.md, section 6). Contracts run in an EVM inside the process, against the
code and slots that were observed, and where a slot was not observed, against values that a search
finds and that the result names. Needs the extra ``analysis``.
"""
