"""Scripts without spaces between words (Chinese, Japanese, Thai …) and Korean, whose particles stick to words.

A choice is found anywhere in such text, because there are no boundaries. A negator stands directly before it (不,
ไม่, 안) or follows it in the clause (ない, ません, 지 않). A choice of a single character is only read if it is a
clause of its own, with at most a particle (是的, 예요).
"""

from __future__ import annotations

import re

_BEFORE = re.compile(
    r"(?:不|没有|沒有|没|沒|无|無|非|未|别|別|勿|并非|並非|不是|不能|不会|不想|不太|不怎么|不怎麼|不很|不是很|不那么|不那麼|不算|不能说(?:我)?|不敢说(?:我)?|说不上|算不上|谈不上|談不上|很难|很難|难说|難說|"
    r"ไม่ได้|ไม่ค่อย|ไม่ใช่|ไม่|มิ|안|못)[太很怎么麼是那特别十分非常会能想愿意要再完全真的算ค่อย\s]{0,4}$"
)
_AFTER = re.compile(
    r"^[^。.!?！？\n,，、;]{0,12}?(?:ない|ません|なかった|ず(?:に|、|。|$)|わけでは|とは言え|とはいえ|지\s?않|지\s?못|지는\s?않|것은?\s?아니|"
    r"[은는이가도]?\s?아니|아닙|없|안\s?[해하]|吗|嗎|か[。?？]|不对|不對|是错|是錯)"
)
_PARTICLES = re.compile(
    r"^(?:的|了|吧|呢|啊|呀|哦|喔|です|だ|ます|よ|ね|かな|でしょう|と思います|だと思います|입니다|이에요|예요|에요|이요|요|이다|다|"
    r"ครับ|ค่ะ|คะ|นะ)*$"
)
_DEGREES = re.compile(r"(?:部分|基本|有点|有點|比较|比較|稍微|勉强|大致|少し|やや|あまり|약간|다소|ค่อนข้าง)\s?$")
_LONGER_WORD = re.compile(r"^(?:度|性|者|率|感)")


def negated_before(text: str) -> bool:
    """Return whether the text before a mention ends with a negator."""
    return _BEFORE.search(text[-24:]) is not None


def negated_after(text: str) -> bool:
    """Return whether the text behind a mention negates it."""
    return _AFTER.search(text[:40]) is not None


def has_degree(text: str) -> bool:
    """Return whether the text before a mention ends with a degree ("rather", "partly")."""
    return _DEGREES.search(text[-12:]) is not None


def only_particles(text: str) -> bool:
    """Return whether the rest of a clause is nothing but particles."""
    return _PARTICLES.match(text.strip(" \"'")) is not None


def in_longer_word(text: str) -> bool:
    """Return whether the text behind a mention goes on with its word."""
    return _LONGER_WORD.match(text) is not None


def is_hangul(text: str) -> bool:
    """Return whether a text begins with a Hangul syllable."""
    return "가" <= text[:1] <= "힣"
