"""What machines, places and code are called, as parts of regular expressions. Marks for hosts: see `sentence`."""

from __future__ import annotations

MACHINE = (
    r"(?:hosts?|nodes?|machines?|box(?:es)?|servers?|computers?|workers?|platforms?"
    r"|(?:execution )?targets?|instances?)"
)
ONE_MACHINE = r"(?:host|node|machine|box|server|computer|worker|(?:execution )?target|instance|one)"
CLUSTER = r"(?:cluster|network|fleet|tailnet|farm|pool)"
HOST = r"(?:the )?⟦[hu]\d*⟧"
HOSTS = rf"(?:both |either )?{HOST}(?:(?:, and | and |, | or |/| \+ | & | plus ){HOST})*"
EVERY = (
    r"(?:(?:all|every|each)(?: single| one)?(?: of)?(?: the| my| our| these)?(?: (?:available|remote"
    rf"|other|online|build|tailscale))* {MACHINE})"
)
SUPERLATIVE = (
    r"(?:less (?:loaded|busy|used)|least[- ](?:loaded|busy|used|occupied|utili[sz]ed|stressed)|best|optimal"
    r"|freest|idlest|quietest|emptiest"
    r"|fastest|strongest|most (?:idle|free|available|suitable))"
)
BEST = rf"(?:the )?{SUPERLATIVE}(?: available| free)? {ONE_MACHINE}"
MODAL = r"(?:should|must|shall|ought to|is to|needs to|has to|have to|gets to|can|will)"
CODE = (
    r"(?:(?:my|the|this|that|our|all|all of|local|current|whole|latest|new|newest|recent|own|working"
    r"|uncommitted|dirty) )*"
    r"(?:codebase|code base|code|project|repo(?:sitory)?|changes|everything|it|them|files?|sources?"
    r"|(?:working )?tree|working copy"
    r"|what (?:i|we) have(?: here| now| so far)?|work(?:space)?|folder|directory|dir|app|checkout|edits|branch"
    r"|stuff|state|game|site|website|package|library|service|(?:\w+ )?sources)"
)
THEN = r"(?:\s*[,;&+.]+\s*(?:and |then )*|\s+(?:and|then|before)\s+(?:then )?|\s+'?n'?\s+)"
GOING = (
    r"(?:run(?:ning)?|do(?:ing)?|start(?:ing)?|execut(?:e|ing)|launch(?:ing)?|kick(?:ing)? off|fir(?:e"
    r"|ing) off|hav(?:e|ing))"
)
PARTICIPLE = (
    r"(?:(?:\w{3,}ed|built|rebuilt|split|rewritten|written|cut|set|sorted|redone|sped|found|shown|put|made"
    r"|typeset|brought|drawn|taught)"
    r"(?: (?:up|out|over|down|again))?)"
)
RUN_DONE = r"(?:run|done|executed|performed|started|launched|carried out|going)"
THERE = r"\g<rest> on \g<where>"
RUN_THERE = rf"run {THERE}"
SYNC_THERE = rf"sync and {THERE}"
"""What a sentence with `rest` and `where` is put as."""
