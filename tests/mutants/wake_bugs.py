"""Bugs in falling asleep and being woken."""

from __future__ import annotations

from tests.mutants.bug import Bug, Edit

_LISTENER = "outbox_notify/postgres/listener.py"
_LOCK = "outbox_notify/postgres/wake_lock.py"
_TEST = "tests/integration/test_listener.py"
_SCAN = "            self._scan_wanted = True\n            self.stir()\n            await self._lock.run("

BUGS = (
    Bug(
        "no-scan-after-reconnecting",
        (Edit(_LISTENER, _SCAN, "            await self._lock.run("),),
        _TEST,
        "test_whole_look_asked_for_while_nobody_listens_is_taken_when_somebody_does",
    ),
    Bug(
        "scan-before-listen",
        (
            Edit(_LISTENER, _SCAN, "            await self._lock.run("),
            Edit(
                _LISTENER,
                '            await ask(listen, sql.SQL("LISTEN',
                "            self._scan_wanted = True\n            self.stir()\n"
                '            await ask(listen, sql.SQL("LISTEN',
            ),
        ),
        _TEST,
        "test_whole_look_asked_for_while_nobody_listens_is_taken_when_somebody_does",
    ),
    Bug(
        "notify-ignored-while-waiting-for-the-lock",
        (
            Edit(
                _LISTENER,
                '            self._lock.try_again()\n        self._stir("notify")\n',
                "            self._lock.try_again()\n"
                '        if self._lock.arm is not Arm.ASKED:\n            self._stir("notify")\n',
            ),
        ),
        _TEST,
        "test_notification_wakes_also_while_the_lock_is_waited_for",
    ),
    Bug(
        "no-last-look-when-the-lock-is-granted",
        (Edit(_LISTENER, "        if arm is Arm.HELD:\n            self.stir()\n", "        del arm\n"),),
        _TEST,
        "test_lock_that_is_granted_is_a_reason_to_look_once_more",
    ),
    Bug(
        "lock-released-before-the-last-look",
        (
            Edit(
                _LOCK,
                "                self._become(Arm.HELD)\n",
                '                await self._persist(conn, self._query("wake_release"))\n'
                "                self._become(Arm.HELD)\n",
            ),
        ),
        _TEST,
        "test_insert_wakes_a_listener_that_sleeps",
    ),
    Bug(
        "lock-kept-while-publishing",
        (
            Edit(
                _LISTENER,
                "        if self._wakeup.looked(claimed):\n            await self._lock.release()\n",
                "        self._wakeup.looked(claimed)\n",
            ),
        ),
        _TEST,
        "test_writers_do_not_notify_a_listener_with_much_to_do",
    ),
    Bug(
        "wake-that-comes-early-is-forgotten",
        (
            Edit(
                _LISTENER,
                "        if self.listening and not self._wakeup.heavy:\n            self._lock.want()\n",
                "        self._stirred = anyio.Event()\n"
                "        if self.listening and not self._wakeup.heavy:\n            self._lock.want()\n",
            ),
        ),
        _TEST,
        "test_wake_that_comes_before_the_sleep_counts",
    ),
)
