"""How things are shown and written, and what a task is: the interface that everything above shares.

Nothing here trains, and nothing here knows a task by name.
"""
