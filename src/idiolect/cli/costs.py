"""What calls have cost, as a line of text: in progress, and at the end of a run."""

from __future__ import annotations

from idiolect.application.run import Spending


def progress_line(spending: Spending) -> str:
    """Return the cost so far: "1,234 calls, 35/s, $0.12"."""
    parts = [f"{spending.calls:,} calls", f"{spending.calls / max(spending.seconds, 1e-3):.3g}/s"]
    if spending.from_cache:
        parts.append(f"{spending.from_cache:,} from the cache")
    if spending.money:
        parts.append(f"${spending.money:.4f}")
    return ", ".join(parts)


def cost_line(spending: Spending) -> str:
    """Return the cost of a whole run, in a sentence."""
    money = "cost not known" if spending.money is None else f"${spending.money:.4f}"
    tokens = f"{spending.prompt_tokens:,} + {spending.completion_tokens:,} tokens"
    parts = [f"{spending.calls:,} calls", tokens, money, f"{spending.seconds:.1f} s"]
    if spending.from_cache:
        parts.append(f"{spending.from_cache:,} answers from the cache")
    if spending.failed:
        parts.append(f"{spending.failed:,} calls failed")
    if spending.dropped:
        parts.append(f"{spending.dropped:,} calls were dropped in flight and may have been billed")
    if spending.uncertain:
        parts.append(f"{spending.uncertain:,} calls of earlier runs were never answered and may have been billed")
    return ", ".join(parts)
