"""A scheduler on pymesos: runs so many tasks on its own executor, then stops.

    pymesos_scheduler.py HOST:PORT TASKS [--strict]

Exits with 0 when every task has finished. With --strict a lost task, a second subscription
or a broken stream is a failure as well.
"""
import getpass
import os
import sys
import threading

from pymesos import MesosSchedulerDriver, Scheduler, encode_data

CPUS, MEM = 0.1, 32


class Counting(Scheduler):
    def __init__(self, total, strict):
        self.total, self.launched, self.strict = total, 0, strict
        self.states = {}
        self.done = threading.Event()
        self.lock = threading.Lock()
        self.problem = None

    def executor(self):
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "pymesos_executor.py")
        return {
            "executor_id": {"value": "counting"},
            "name": "counting",
            "command": {"value": "%s %s" % (sys.executable, script)},
            "resources": self.resources(),
        }

    @staticmethod
    def resources():
        return [
            {"name": "cpus", "type": "SCALAR", "scalar": {"value": CPUS}},
            {"name": "mem", "type": "SCALAR", "scalar": {"value": MEM}},
        ]

    def resourceOffers(self, driver, offers):
        for offer in offers:
            with self.lock:
                running = self.launched - sum(s == "TASK_FINISHED" for s in self.states.values())
                if self.launched >= self.total or running >= 4:
                    driver.declineOffer(offer["id"], {"refuse_seconds": 0.2})
                    continue
                self.launched += 1
                name = "task-%d" % self.launched
                self.states[name] = "TASK_STAGING"
            driver.launchTasks(offer["id"], [{
                "name": name,
                "task_id": {"value": name},
                "agent_id": offer["agent_id"],
                "executor": self.executor(),
                "resources": self.resources(),
                "data": encode_data(name.encode()),
            }], {"refuse_seconds": 0})

    def registered(self, driver, framework_id, master_info):
        print("registered as", framework_id["value"], flush=True)

    def disconnected(self, driver):
        print("disconnected", flush=True)
        if self.strict and not self.done.is_set():
            self.error(driver, "the stream broke")

    def reregistered(self, driver, master_info):
        print("reregistered", flush=True)
        if self.strict:
            self.error(driver, "subscribed a second time")
        with self.lock:
            open_tasks = [{"task_id": {"value": t}} for t, s in self.states.items()
                          if s != "TASK_FINISHED"]
        if open_tasks:
            driver.reconcileTasks(open_tasks)

    def statusUpdate(self, driver, status):
        name, state = status["task_id"]["value"], status["state"]
        print(name, state, status.get("message", ""), flush=True)
        with self.lock:
            if self.states.get(name) == "TASK_FINISHED":
                return
            self.states[name] = state
            if state in ("TASK_LOST", "TASK_ERROR", "TASK_FAILED", "TASK_KILLED"):
                # A launch that was cut off by the end of its leader is launched anew under
                # another name; anything else is a failure.
                retry = ("REASON_INVALID_OFFERS", "REASON_RECONCILIATION")
                if status.get("reason") in retry and not self.strict:
                    del self.states[name]
                    self.total += 1
                else:
                    self.problem = status
                    self.done.set()
            finished = sum(s == "TASK_FINISHED" for s in self.states.values())
            if finished == len(self.states) and self.launched >= self.total:
                self.done.set()

    def error(self, driver, message):
        self.problem = message
        self.done.set()


def main(master, total, strict):
    scheduler = Counting(total, strict)
    framework = {
        "user": getpass.getuser(), "name": "pymesos", "checkpoint": True, "failover_timeout": 60,
    }
    driver = MesosSchedulerDriver(scheduler, framework, master, use_addict=False)
    driver.start()
    scheduler.done.wait()
    driver.stop()
    if scheduler.problem:
        print("PROBLEM", scheduler.problem, flush=True)
    os._exit(1 if scheduler.problem else 0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), "--strict" in sys.argv[3:])
