//! The agent with few flags, and its shim, as one small program.
//!
//! `agent-under-test agent MASTER PORT WORK_DIR` | `agent-under-test launch SPEC`

use std::process::ExitCode;

use caprock_agent::{AgentConfig, Signals, run, shim};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(word) if word == "launch" => shim::main(arguments),
        Some(word) if word == "agent" => {
            let words: Vec<String> = arguments
                .filter_map(|argument| argument.into_string().ok())
                .collect();
            agent(&words)
        }
        _ => ExitCode::FAILURE,
    }
}

fn agent(words: &[String]) -> ExitCode {
    let [master, port, work_dir] = words else {
        return ExitCode::FAILURE;
    };
    let config = AgentConfig {
        masters: vec![master.clone()],
        listen: format!("127.0.0.1:{port}").parse().expect("a port"),
        work_dir: work_dir.into(),
        resources: Some("cpus:4;mem:1024;disk:1024;ports:[31000-32000]".into()),
        hostname: Some("localhost".into()),
        switch_user: false,
        ..AgentConfig::default()
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    match runtime.block_on(async { run(config, Signals::listen()?).await }) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("agent: {error:#}");
            ExitCode::FAILURE
        }
    }
}
