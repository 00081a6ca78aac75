"""Words by which a mention of a choice is judged: negators, hedges, other people, answering verbs, idioms.

The lists are closed classes of words in their normal form (`forms`), most of them English; the other languages have
their negators, conjunctions and words for yes and no. Changing one changes readings: run benchmarks/answer_reading.py.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(phrase.strip() for phrase in text.split("|"))


# Negation
NEGATORS = _words(
    "aldrig almost aucun aucune avoid ban banned bans barely casi ceased denies deny despise detest değil "
    "dislike dislikes doubt doubtful except exclude excludes excluding fast geen hardly hate hated hates "
    "hesitate ikke inte jamais jamás kein keine keinen keiner lack lacks loathe mai nearly neither nem "
    "nessun never ni nicht nie niemals niet ningún no nobody non none nooit nor not nothing nowhere nunca "
    "não ohne pas presque pretended quase quasi refuse refuses reject rejected rejects ruled scarcely sin "
    "stopped tampoco tempted unlikely weder without без не нет ни никогда почти لا لست لن ليس नही नहीं मत "
    "लم"
)
NEGATING_PHRASES = _phrases(
    "far from | anything but | less than | rather not | cannot be | too strong | the opposite of | used "
    "to | was going to | stop being | nothing like | in no way | by no means | it would be wrong to say | "
    "wrong to say | if not | nobody is"
)
NEUTRAL_PHRASES = _phrases(
    "no doubt | without a doubt | without doubt | without any doubt | without question | without "
    "hesitation | no question | no problem | no matter | not only | not just | can not help but | can not "
    "wait | no wonder | why not | no one will be surprised | nothing but | no surprise | never mind | not "
    "to mention | no worries | no idea why | nothing beats | no two ways | no buts | no offense | no "
    "offence | could not agree more | not that it matters"
)
EXCLUDING_PHRASES = _phrases(
    "rather than | instead of | opposed to | other than | better than | worse than | rules out | rule out | ruling out"
)
REFUTING = _words(
    "exaggerated exaggeration excluded false impossible inaccurate incorrect lie lying out overstatement "
    "overstating second selling stretch understatement understating unfair unlikely untrue weak wrong"
)
DENYING = _words("are can could did do does is seems should sounds was would")

# Questions, conditions, other times and other people
QUESTIONING = _words("falls if ob si unless wenn whether")
ASKING = _words("how what where which who whom whose why")
UNCERTAIN = _words("certain know say sure tell")
POSSIBLE = _words("could may might")
ECHOING = _phrases(
    "you asked | you ask | you want to know | one of | options | the choices | choose between | chosen from"
)
SUPPOSING = _phrases(
    "if i were | if i was | if i had a | if they were | if only | i wish | imagine if | imagine that | "
    "imagine i | suppose that | suppose i | suppose we | pretend"
)
HYPOTHETICAL = _words("could may might should will would")
UNDER_CONDITION = (" if ", " only if ", " but only if ", " unless ", " provided ", " as long as ")
POLITE_CONDITIONS = _phrases(
    "if i had to | if i have to | if i must | if i could | if you ask | if you want | if you must | if "
    "you like | if pressed | if forced | if asked | if anything | if possible | if i am honest | if i may "
    "| if given | if that"
)
EARLIER = _phrases(
    "when i was | as a kid | as a child | as a boy | as a girl | back then | back in | in my youth | "
    "growing up | years ago | in the old days | at first | once thought | first instinct | first thought "
    "| would have said | used to say"
)
NOW = _words("currently now nowadays today")
HEARSAY = _phrases(
    "you would think | you might think | read somewhere | read that | heard that | hear that | heard "
    "people | heard somewhere | they say that"
)
OTHERS = _words(
    "algunos andere anybody beaucoup certains colleagues critics d'autres different economists einige "
    "everybody everyone experts folks friends he manche many most muchos neighbors neighbours one "
    "opponents others others' otros parents people politicians she some somebody someone somewhere "
    "supporters viele you другие некоторые"
)
THIRD_PERSON = _words("he she they")
KIN = _words(
    "accountant aunt boss boyfriend brother brothers buddy children coach colleague colleagues cousin "
    "coworker coworkers dad daughter daughters doctor ex family father folks friend friends girlfriend "
    "grandfather grandkids grandma grandmother grandpa husband kids landlord manager mate missus mom "
    "mother mum neighbor neighbors neighbour neighbours nephew niece parents pastor priest roommate "
    "sister sisters son sons spouse teacher uncle uncles wife"
)
OTHERS_ANYWHERE = _phrases(
    "有人 | 有些人 | 很多人 | 别人 | 他们 | 朋友 | 丈夫 | 妻子 | 同事 | 邻居 | 友人 | 人々 | 多くの人 | 友達 | 的人 | "
    "妻は | 夫は | 母は | 父は | "
    "친구 | 남편 | 아내 | 어떤 사람 | เพื่อน | บางคน | คนอื่น"
)
SAYING = _words("argue argues assume assumes believe believes claim claims say says said think thinks")
INNER_VOICES = _words("gut head heart instinct mind conscience profile persona description")
FIRST_PERSON = _words("eu i ich io ja je me mine my myself we yo я")
META = _words("assume believe expect guess imagine say suppose think would")

# Places in a sentence that answer
COMMITTING = _words(
    "answer call choose chose consider decide describe favor favour give go guess identify lean opt pick "
    "picked prefer rate say select selected settle take vote want"
)
CONCLUDING = _words("hence so therefore thus")
ANSWER_NOUNS = _words(
    "answer best choice cup favorite favourite go number option pick preference preferred rating response "
    "selection thing top verdict vote"
)
BACK_MARKS = _phrases(
    "is my | would be my | is the answer | would be the answer | is what | is the one | is the best | it "
    "is | would be the best | wins | takes the cake | it is then | as my answer | as my final answer | is "
    "where | is the way | describes it | describes me | sums it up | is about right | would be best | is "
    "best | is more accurate | is closest | is closer | fits best | fits me best | describes me best"
)
LEADS = _words(
    "am answer answers are be became become becomes been being believe believes bin call category "
    "certainly choice choose chooses chose consider considered considers count decide definitely describe "
    "down drink drinks eat eats enjoy enjoys es est estou estoy está favor favour feel feeling feels felt "
    "find found get getting give go goes got gotta gotten grade guess had has have having he i identify "
    "is ist it just lean letter level like likely likes love loves mostly myself number opt option person "
    "pick picked picks prefer prefers probably rate rating really remain remains root rooting say says "
    "score seem seems select selected selects settle she should sign simply sind sono sou soy stay stick "
    "sticking suis take takes team themselves they they'd think thinks use uses using vote want wants was "
    "we were will would"
)
COPULAS = _words("am are be became become becomes been being feel feels felt is remain remains seem seems was were")
AUXILIARIES = _words("has have must should to will would")
SUBJECTS = _words("he i it person respondent she they user we who")
PAST = _words("asked ate did grew hate hear heard knew know left lost made met said saw see thought told watched went")
OWN = _words("her his my our that the their there these things this")
SKIPPED = _words(
    "a absolutely actually also always an at basically by certainly completely currently definitely even "
    "for from fully generally go going her his honestly in just least mainly maybe me more most mostly my "
    "now on only our overall perhaps personally pretty probably quite rather really simply slightly so "
    "some somewhat still that the their then this to totally usually very well with your"
)
OPENERS = _words("also and but hmm honestly however look oh ok okay or so still then well yet")
AFTER = _words(
    "about after again all although always and any anymore anyway around as at avec because before best "
    "but by car certainly choice con de definitely due during each either el en et even every first for "
    "for's foremost from für given her here him his honestly if in indeed instead is it its just la last "
    "me mit more most mostly my myself now o oder of often on once one ones only option or ou our out "
    "over overall para parce per personally plain por pour probably que rather really right seems simply "
    "since so than thanks that the their them then there these this those though through to today "
    "toward towards twice und until us usually von was weil when which while who will with without would "
    "would've y years your и но потому что"
)
AFTER_COMMON = _words(
    "about anyway as at because for from her here him i in it myself nonetheless now on overall since "
    "than them these this today whatsoever with"
)
AFTER_NO = _words("as because from he i it person respondent she since they to user we who")
AFTER_NUMBER = _words("as because for on points since star stars would")
TAILS = _phrases(
    "all the way | it is | for me | any day | every time | hands down | by far | for sure | thank you | "
    "thanks | of course | without question | please | a lot | a bit | a little | i think | i guess | i "
    "suppose"
)
OBJECTS = _words("her him it that them this")
TAG_VERBS = _words("am are can could did do does had has have is should was were will would")
KINDS_OF_PEOPLE = _words("family fan gal girl guy household lover man people person woman")
SUBJECT_IS_ANSWER = _words("best certainly clearly closest definitely how it probably right what where")
CONTRASTS = _words("aber but hence however instead mais pero so still therefore thus yet но однако")
JOINTS = _words("although because car obwohl parce porque since though unless weil whereas while")
COORDINATORS = _words("& , / and e either eller en et nor o och oder of or ou und y и или")
COMPARING = _phrases(
    "more often than | more so than | ahead of | beats | rather than | instead of | as opposed to | "
    "opposed to | more than | over | > | then | not | and not | do not | before | followed by | "
    "definitely not | unlike"
)

# Words that are rarely an answer
COMMON = _words(
    "all any average bad better both can down eight either everything fair false few first five for four "
    "free good great he here high i important in just later left less like low many may me might more "
    "much neither nine no none normal not nothing now off often on once one only open other others out "
    "own quite right same second seven she six some something sometimes somewhat soon ten there they "
    "three too true trust two up us very we well will worse you"
)
DISCOURSE = _words("again fine first good great like look now ok okay once open please right second sure true well")
FREQUENCIES = _words("always frequently never occasionally often rarely seldom sometimes usually")
EMPHATIC = _words(
    "absolute absolutely big clear definite definitely emphatic fat firm hard heck hell just leaning of "
    "oh resounding simple solid strong toward towards well"
)
DEGREES = _words(
    "algo assez bastante bit completely deeply eher etwas extremely fairly fully generally highly kinda "
    "least less little mildly moderately more most mostly muy partially partly plutôt poco pretty quite "
    "rather really sehr slightly so somewhat sorta strongly tend too totally très very ziemlich"
)
IDIOMS = _phrases(
    "more or less | likely that | unlikely that | to be fair | i am fine thanks | fine thanks | agree "
    "that this is a | agree that it is a | agree this is a | agree that this question | good question | "
    "great question | good idea for a question | bad idea for a question | no comment | fair question | "
    "important question | interesting question | on the other hand | in other words | for better or worse "
    "| good thing that you | idea for a question | fair point | good point | happy to help | agree to "
    "disagree | all right | right away | fair enough | you are welcome | good day | good morning | sure "
    "thing | the same time | same question | other hand | history of questions | on my own | on their own "
    "| oh no | thanks a lot | that is right | so far so good | open to both | in god i trust | of course "
    "| in fact | at best | at worst | as well"
)

# Refusals
REFUSING = _phrases(
    "not apply to me | do not apply | "
    "can not answer | can not help | can not assist | can not provide | can not choose | can not decide | "
    "unable to | prefer not to | can not pick | can not determine | can not share | impossible for me | "
    "not able to | decline to | can not give | no puedo | could not decide | can not really decide"
)
CHATTER = _phrases(
    "that question a lot | before i could say | i would have to look | i would have to check | happy to "
    "help | glad to help | how can i help | how can i assist | please provide | please share the | just "
    "kidding | only kidding | just joking | only joking | i take that back"
)

# Languages
ENGLISH = _words("a and are be do for have i in is it my not of on that the they this to was would")
FOREIGN = _words(
    "att che con dans das de del der des det di een ein eine el elle en er es est estoy et eu für het ich "
    "ik ikke il ist jag je jeg la las le les los mit muy ne nicht niet não o och op os para pas per por "
    "pour que sono soy um uma un una und van y är è"
)
POLAR = _words(
    "ei evet hayır igen ja jo kyllä nao nee nein nej nem nie no non não oui si sim sí tak ναι όχι да нет "
    "כן לא لا نعم नहीं हाँ"
)
AFFIRMATIVES = _words("evet igen ja jo kyllä oui si sim sí tak ναι да כן نعم हाँ")
POLAR_LEADS = _words("dirais diria diría dis ein es est ist klares que sage sagen un una würde è é जी")
