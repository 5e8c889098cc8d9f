"""How test runners say what they found: one module for each family. Pure; `dgummy.summaries` puts them together.

A reader takes text without escapes, blank lines and carriage returns, every line at most `MAX_LINE` characters, and
gives the runner's last closing words, or None. Its patterns take time in proportion to the text, whatever that holds.
"""
