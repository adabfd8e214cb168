//! Flags of `caprock gateway`.

use std::net::SocketAddr;
use std::time::Duration;

use caprock_client::Masters;
use caprock_master::gateway::GatewayConfig;
use clap::Args;

use super::duration;
use super::master::ms;

#[derive(Debug, Args)]
pub struct GatewayFlags {
    /// All masters of the quorum
    #[arg(long, value_name = "HOST:PORT,...", default_value = "127.0.0.1:5050")]
    pub masters: Masters,
    /// Where schedulers connect
    #[arg(long, default_value = "127.0.0.1:5060", value_name = "IP:PORT")]
    pub listen: SocketAddr,
    /// How long a call is held while there is no leader, before it is answered 503
    #[arg(long, default_value = "5secs", value_parser = duration)]
    pub hold: Duration,
    /// How long a scheduler's event stream waits for the next leader before it is ended
    #[arg(long, default_value = "1mins", value_parser = duration)]
    pub stream_hold: Duration,
    /// Filter of the log lines on stderr, such as info or debug
    #[arg(long, default_value = super::LOG_FILTER, value_name = "FILTER")]
    pub log: String,
}

impl GatewayFlags {
    /// The settings of the gateway.
    pub fn to_config(&self) -> GatewayConfig {
        GatewayConfig {
            leader_wait_ms: ms(self.hold),
            stream_wait_ms: ms(self.stream_hold),
            ..GatewayConfig::new(self.listen, self.masters.addresses().to_vec())
        }
    }
}
