"""The signs of states, the same on every screen. A word stands beside each: neither sign nor colour is all there is."""

from __future__ import annotations

from dgummy.views import SpecialistState

SIGNS = {
    SpecialistState.ACTIVE: "⚡",
    SpecialistState.DORMANT: "💤",
    SpecialistState.NEW: "✨",
    SpecialistState.STOPPED: "◼",
    SpecialistState.FAILED: "✗",
    SpecialistState.UNREADABLE: "?",
}
ASCII_SIGNS = {
    SpecialistState.ACTIVE: "*",
    SpecialistState.DORMANT: "z",
    SpecialistState.NEW: "+",
    SpecialistState.STOPPED: "#",
    SpecialistState.FAILED: "x",
    SpecialistState.UNREADABLE: "?",
}
