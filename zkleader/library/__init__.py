"""The election as a library, for programs that lead without a wrapped command: the same core, without the guard.

What it cannot promise without one: nobody stops your work but you.  ``zkleader run`` kills what outlives its lease; a
program that leads by itself has to look, before each act, whether it still may (`Candidate.is_leading`), and has to
have stopped by the deadline (`Candidate.deadline`).  Even so a process that is frozen (SIGSTOP, a debugger), paused by
its virtual machine, or by its own garbage collector, between that look and the act, acts after its deadline.  So hand
the token with each write to a store that refuses a lower one than it has seen: that alone is safe then.
"""
