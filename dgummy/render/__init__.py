"""The screen. Functions here turn records into text; `console` alone writes. Imported by adapters only."""
