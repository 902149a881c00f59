"""Programs of users, as their type checkers see them in strict mode.

`typed_program.py` has to pass, and `test_typed_program.py` runs it. Each line of
`wrong_programs.py` that is marked `# expect-error` has to fail. `check_programs.py` asks pyright,
and is run by `.ci/run lint`.
"""
