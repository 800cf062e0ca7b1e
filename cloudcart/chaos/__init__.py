"""How a fault reaches traffic: what is active in this process, the places where it acts, and how it gets here.

``active`` holds the faults, ``exchange`` leads one piece of work through them, ``middleware``, ``outbound`` and
``messaging`` are the three places of that kind; ``answers`` is what they do to an answer, ``process`` the place of
faults on a process itself; ``agent`` fetches the faults from the control plane, whose client for
people and programs is ``client``.
"""
