"""Words by which a mention of a choice is judged: negators, hedges, other people, answering verbs, clause boundaries.

The lists are closed classes of words in several languages, in their normal form (`forms`).
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


NEGATORS = _words(
    "not no never neither nor none nobody without hardly barely scarcely unlikely doubt doubtful deny denies refuse "
    "refuses reject rejects rejected ruled exclude excludes excluding except avoid ban banned bans lack lacks "
    "almost nearly casi fast presque почти quase quasi nothing nowhere ceased stopped hesitate tempted pretended hate hates hated dislike dislikes detest despise loathe "
    "nicht kein keine keinen keiner niemals nie ohne weder pas jamais aucun aucune ni nunca jamás tampoco sin ningún "
    "não nem non mai nessun niet geen nooit inte ikke aldrig не нет никогда ни без لا ليس لست لن लم नहीं नही मत değil"
)
NEGATING_PHRASES = (
    "far from", "anything but", "instead of", "rather than", "less than", "other than", "opposed to", "rather not",
    "cannot be", "too strong", "the opposite of", "used to", "was going to", "stop being", "nothing like", "in no way", "by no means",
    "it would be wrong to say", "wrong to say", "if not", "nobody is",
)  # fmt: skip
NEUTRAL_PHRASES = (
    "no doubt", "without a doubt", "without doubt", "without any doubt", "without question", "without hesitation",
    "no question", "no problem", "no matter", "not only", "not just", "can not help but", "can not wait", "no wonder",
    "why not", "no one will be surprised", "nothing but", "no surprise", "never mind", "not to mention", "no worries",
    "no idea why", "nothing beats", "no two ways", "no buts", "no offense", "no offence", "could not agree more", "not that it matters",
)  # fmt: skip
REFUTING = _words(
    "wrong incorrect false untrue unlikely exaggerated inaccurate unfair excluded out impossible weak second"
)
QUESTIONING = _words("whether if unless ob si wenn falls")
OTHERS = _words(
    "some others many most people critics supporters opponents everyone everybody someone somebody anybody friends "
    "neighbors neighbours colleagues parents he she you one economists experts politicians folks somewhere others' "
    "algunos otros muchos manche einige andere viele certains d'autres beaucoup некоторые другие"
)
THIRD_PERSON = _words("he she they")
KIN = _words(
    "husband wife brother sister mother father mom mum dad son daughter friend friends family uncle uncles aunt "
    "grandma grandpa grandmother grandfather boss accountant doctor neighbor neighbour neighbors neighbours colleague "
    "colleagues pastor teacher kids children cousin roommate girlfriend boyfriend coworker coworkers parents sons "
    "daughters brothers sisters spouse ex grandkids nephew niece buddy mate coach priest manager landlord missus folks"
)
OTHERS_ANYWHERE = ("有人", "有些人", "朋友", "丈夫", "妻子", "同事", "邻居", "친구", "남편", "아내", "เพื่อน", "友達", "妻は", "夫は", "母は", "父は", "很多人", "别人", "他们", "友人", "人々", "多くの人", "어떤 사람", "บางคน", "คนอื่น")
FIRST_PERSON = _words("i me my mine myself we ich ja yo je io я eu")
COMMITTING = _words(
    "say choose pick select answer take go vote opt call rate give settle decide lean prefer want favor favour guess "
    "chose picked selected"
)
BACK_MARKS = (
    "is my",
    "would be my",
    "is the answer",
    "would be the answer",
    "is what",
    "is the one",
    "is the best",
    "it is",
    "would be the best",
    "as my answer",
    "as my final answer",
    "is where", "is the way",
)
COORDINATORS = _words("or and / , & nor either y o e ou et und oder и или en of och eller")
TAILS = (
    "all the way", "it is", "for me", "any day", "every time", "hands down", "by far", "for sure", "thank you", "thanks",
    "of course", "without question", "please",
)
DISCOURSE = _words("well right fine like true good great sure look okay ok now please again once first second open")
EARLIER = (
    "when i was", "as a kid", "as a child", "as a boy", "as a girl", "back then", "back in", "in my youth", "growing up",
    "years ago", "in the old days", "at first", "once thought",
)
SUPPOSING = ("if i were", "if i was", "if i had a", "if they were", "if only", "i wish", "imagine", "suppose", "pretend")
META = _words("think believe guess suppose expect imagine assume would say")
HEARSAY = ("read somewhere", "read that", "heard that", "hear that", "heard people", "heard somewhere", "they say that")
CHATTER = ("happy to help", "glad to help", "how can i help", "how can i assist", "please provide", "please share the")
ENGLISH = _words("the i a is of to and would it they this that are was in on for my not be have do")
ANSWER_NOUNS = _words(
    "favourite favorite choice pick answer preference preferred vote option go first top best number cup thing response"
)
EMPHATIC = _words(
    "heck hell firm hard definite resounding big fat clear strong oh solid absolute emphatic simple towards toward "
    "leaning well just definitely absolutely of"
)
CONCLUDING = _words("so therefore thus hence")
FREQUENCIES = _words("never rarely always sometimes often usually seldom occasionally frequently")
PAST = _words("said told saw met heard knew lost ate went did made thought grew left asked know see hear hate watched")
COPULAS = _words("is am are was were be been being feel feels felt seem seems become becomes became remain remains")
SUBJECTS = _words("i we they he she it person user respondent who")
OPENERS = _words("and or well so then but however yet still also oh ok okay hmm look honestly")
FOREIGN = _words(
    "el la los las de del que y en un una por para con es soy estoy muy ich und der das ist nicht ein eine für mit "
    "je le les des est et ne pas pour dans il elle sono è che di un per não o os um uma eu para het een ik niet van "
    "en op jag är och att det jeg er ikke"
)
POLAR = _words(
    "oui non ja nein nee sí si no não nao sim да нет نعم لا हाँ नहीं tak nie evet hayır nej jo igen nem kyllä ei ναι όχι כן לא"
)
AFFIRMATIVES = _words("oui ja sí si sim да نعم हाँ tak evet jo igen kyllä ναι כן")
POLAR_LEADS = _words("जी que ist es est è é sage sagen würde diría dis dirais klares un una ein diria é")
ASKING = _words("how which what who whom whose where why")
UNCERTAIN = _words("know sure say certain tell")
LEADS = COMMITTING | _words(
    "is am are was were be been being feel feels felt feeling seem seems become became becomes remain remains stay "
    "has have had having got get getting gotten says chooses picks selects answers takes goes like likes love loves enjoy enjoys "
    "prefers wants considered consider considers call describe use uses using drink drinks eat eats i we they it he "
    "she would will should gotta stick sticking root rooting count sign down team myself themselves identify find found think thinks believe believes mostly "
    "option choice letter category level score rating number grade person they'd probably likely definitely certainly simply just really "
    "estoy está soy es ist bin sind suis est sono sou estou be"
)
SKIPPED = _words(
    "a an the me my their his her our your this that just probably definitely certainly honestly really simply rather "
    "quite pretty maybe perhaps still also even more so always currently now actually only mainly mostly usually "
    "generally basically totally some completely fully overall personally absolutely most least very slightly somewhat "
    "in on by at with to for from go going well then"
)
DEGREES = _words(
    "very somewhat slightly mostly fully totally completely partly partially quite rather extremely fairly pretty "
    "strongly really moderately mildly kinda sorta highly deeply generally tend sehr eher ziemlich etwas très plutôt "
    "assez muy bastante algo poco bit little more less most least so too"
)
AFTER = _words(
    "about with that because to in on for at of by from as since when if and or but so though although while than now "
    "today last years twice again once first foremost one ones option choice overall honestly really here there it them him her me us anymore again indeed too either more then these this "
    "those my your their his our its the every each all any most best is would will was seems anyway definitely "
    "certainly personally myself probably instead only who which even after before during over around through without "
    "towards toward until given due per out right thanks plain simply just rather then always often usually mostly "
    "por para con de en la el que y o weil und oder mit für von parce car et ou avec pour que и но что потому "
    "would've for's"
)
AFTER_COMMON = _words("because since as for about with from here now than today overall in at these this that i on whatsoever it them him her")
SUBJECT_IS_ANSWER = _words("my the best what definitely clearly probably certainly how where closest right it")
COMMON = _words(
    "no some none all any other others both either neither few many much more less same good bad fair better worse well "
    "right left may might will can like in out on off up down very quite somewhat not now later soon i you he she we "
    "they me us nothing something everything only just too high low own other often sometimes once first second one open trust "
    "two three four five six seven eight nine ten here there true false average normal important free great"
)
CONTRASTS = _words("but however so therefore thus hence yet still instead aber mais pero но однако")
JOINTS = _words("because since although though while whereas unless weil porque car parce obwohl")
COMPARING = (
    ("rather", "than"), ("instead", "of"), ("as", "opposed", "to"), ("opposed", "to"), ("more", "than"), ("over",),
    (">",), ("then",), ("not",), ("and", "not"), ("do", "not"), ("before",), ("followed", "by"), ("definitely", "not"), ("unlike",),
)  # fmt: skip
IDIOMS = (
    "agree that this is a", "agree that it is a", "agree this is a", "agree that this question", "good question",
    "great question", "good idea for a question", "bad idea for a question", "no comment", "fair question", "important question", "interesting question", "on the other hand",
    "in other words", "for better or worse", "good thing that you", "idea for a question", "fair point", "good point", "happy to help",
    "agree to disagree", "all right", "right away", "fair enough", "you are welcome", "good day", "good morning",
    "sure thing", "the same time", "same question", "other hand", "history of questions", "on my own",
    "on their own", "oh no", "thanks a lot", "that is right", "so far so good", "open to both", "in god i trust", "of course", "in fact", "at best", "at worst", "as well",
)  # fmt: skip
REFUSING = (
    "can not answer", "can not help", "can not assist", "can not provide", "can not choose", "can not decide",
    "unable to", "prefer not to", "can not pick", "can not determine", "can not share", "impossible for me",
    "not able to", "decline to", "can not give", "no puedo", "could not decide", "can not really decide",
)  # fmt: skip
