//! Words of wait(2) in Mesos' language (Mesos: WSTRINGIFY in stout/os/wait.hpp).

/// `exited with status 1`, `terminated with signal Killed`.
pub(crate) fn describe(wait_status: i32) -> String {
    if let Some(code) = exit_code(wait_status) {
        return format!("exited with status {code}");
    }
    let signal = wait_status & 0x7f;
    let core = if wait_status & 0x80 != 0 {
        " (core dumped)"
    } else {
        ""
    };
    match SIGNALS.get(signal as usize) {
        Some(name) if signal > 0 => format!("terminated with signal {name}{core}"),
        _ => format!("terminated with signal Unknown signal {signal}{core}"),
    }
}

/// The exit code, of a process that was not ended by a signal.
pub(crate) fn exit_code(wait_status: i32) -> Option<i32> {
    (wait_status & 0x7f == 0).then_some((wait_status >> 8) & 0xff)
}

/// strsignal(3) on Linux.
const SIGNALS: [&str; 32] = [
    "",
    "Hangup",
    "Interrupt",
    "Quit",
    "Illegal instruction",
    "Trace/breakpoint trap",
    "Aborted",
    "Bus error",
    "Floating point exception",
    "Killed",
    "User defined signal 1",
    "Segmentation fault",
    "User defined signal 2",
    "Broken pipe",
    "Alarm clock",
    "Terminated",
    "Stack fault",
    "Child exited",
    "Continued",
    "Stopped (signal)",
    "Stopped",
    "Stopped (tty input)",
    "Stopped (tty output)",
    "Urgent I/O condition",
    "CPU time limit exceeded",
    "File size limit exceeded",
    "Virtual timer expired",
    "Profiling timer expired",
    "Window changed",
    "I/O possible",
    "Power failure",
    "Bad system call",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_mesos() {
        assert_eq!(describe(0), "exited with status 0");
        assert_eq!(describe(7 << 8), "exited with status 7");
        assert_eq!(describe(9), "terminated with signal Killed");
        assert_eq!(describe(15), "terminated with signal Terminated");
        assert_eq!(
            describe(11 | 0x80),
            "terminated with signal Segmentation fault (core dumped)"
        );
        assert_eq!(describe(40), "terminated with signal Unknown signal 40");
        assert_eq!(exit_code(3 << 8), Some(3));
        assert_eq!(exit_code(9), None);
    }
}
