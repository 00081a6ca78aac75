"""All tasks, by name. To add one, write a module in this folder and add a row here."""

from __future__ import annotations

from idiolect.evaluate.tasks.global_opinionqa import GLOBAL_OPINIONQA
from idiolect.evaluate.tasks.lamp import LAMP
from idiolect.evaluate.tasks.opinionqa import OPINIONQA
from idiolect.evaluate.tasks.people import PEOPLE
from idiolect.evaluate.tasks.personamem import PERSONAMEM
from idiolect.evaluate.tasks.prism import PRISM
from idiolect.evaluate.tasks.task import Task
from idiolect.evaluate.tasks.users import USERS

_PUBLISHED = (OPINIONQA, GLOBAL_OPINIONQA, *LAMP, PRISM, PERSONAMEM)
TASKS: dict[str, Task] = {task.name: task for task in (PEOPLE, USERS, *_PUBLISHED)}
