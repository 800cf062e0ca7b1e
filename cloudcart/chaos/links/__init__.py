"""The place where faults of links act: a proxy for TCP connections and Unix sockets.

``course`` says when which bytes go on (no sockets, no waiting), ``connection`` moves them, ``proxy`` listens, and
``faults`` holds what is active; ``toxiproxy`` is another way to say it. The lab runs a proxy for its links
(``lab.links``), and ``cloudcart proxy`` runs one alone.
"""
