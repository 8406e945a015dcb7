//! What the command line asks for.

/// What to measure.
pub(crate) struct Options {
    /// Rounds; medians are printed.
    pub(crate) rounds: usize,
    /// Sizes of the one room of the fan-out loads.
    pub(crate) clients: Vec<usize>,
    /// Idle connections.
    pub(crate) idle: usize,
    /// Edits of a saturated run; 0 = as many as five million deliveries take, at most 50 000.
    pub(crate) edits: usize,
    only: Option<String>,
}

const USAGE: &str = "bench:quick [--clients 10,100,1000] [--rounds 3] [--idle 5000] [--edits N] \
                     [--only saturated,paced,idle]";

impl Options {
    pub(crate) fn parse(arguments: &[String]) -> Result<Self, String> {
        let mut options = Self { rounds: 3, clients: vec![100], idle: 5000, edits: 0, only: None };
        // cargo adds `--bench`.
        let mut rest = arguments.iter().filter(|argument| *argument != "--bench");
        while let Some(name) = rest.next() {
            let value = rest.next().ok_or(USAGE)?;
            let number = || value.parse::<usize>().map_err(|_| USAGE.to_owned());
            match name.as_str() {
                "--rounds" => options.rounds = number()?.max(1),
                "--idle" => options.idle = number()?,
                "--edits" => options.edits = number()?,
                "--only" => options.only = Some(value.clone()),
                "--clients" => {
                    let sizes = value.split(',').map(str::parse).collect::<Result<_, _>>();
                    options.clients = sizes.map_err(|_| USAGE)?;
                }
                _ => return Err(USAGE.into()),
            }
        }
        if options.clients.iter().any(|clients| *clients < 2) {
            return Err("a room needs two clients".into());
        }
        Ok(options)
    }

    /// Whether a kind of load was asked for.
    pub(crate) fn wants(&self, load: &str) -> bool {
        self.only.as_ref().is_none_or(|only| only.split(',').any(|name| name == load))
    }
}
