"""The pages of `docs/` that are made from the code, and the recorded screen.

`pages` makes them, `settings` and `commands` know how, `record` makes the picture, `tasks` are the commands for both:
`inv docs.build` and `inv docs.record`, in this repository alone.
"""
