const GENERAL = `civicpress-realtime: many people edit one public record at the same time.

Usage: civicpress-realtime <command> [options]

Commands:
  start             run the server in the foreground
  token             print a sign-in token
  config check      check the configuration
  config print      print the effective configuration and where each value is from
  config default    print a commented configuration file with all defaults
  doctor            look for what would keep the server from working here
  help <command>    show the options of a command

Options:
  -h, --help        show this text
  -v, --version     print the version

Configuration comes from the environment (CIVIC_REALTIME_<KEY>), a file (--config FILE, else realtime.yml in
the system data folder, else ./config/realtime.json) and defaults, in this order.

Exit codes: 0 done, 1 failed, 2 not understood.

Examples:
  civicpress-realtime start
  civicpress-realtime token --user ada --role editor --link
  CIVIC_REALTIME_PORT=4000 civicpress-realtime start --config realtime.yml`;

const CONFIG_FILE = '  --config FILE       configuration file';
const HELP = '  -h, --help          show this text';

const COMMANDS: Record<string, string> = {
  start: `Run the server in the foreground until SIGTERM or SIGINT (Ctrl+C).

Records are Markdown files in a folder; people sign in with a token. Without any configuration the server
listens on this machine only, keeps everything below ./data, starts with a few sample records and prints
links to sign in with.

Usage: civicpress-realtime start [options]

Options:
${CONFIG_FILE}
  --port PORT         port to listen on; 0 = any free one (also CIVIC_REALTIME_PORT)
  --host ADDRESS      address to listen on; 0.0.0.0 = every one (also CIVIC_REALTIME_HOST)
  --log-format FORM   log lines as text or json; auto = text on a terminal (also CIVIC_REALTIME_LOG_FORMAT)
${HELP}

A first signal stops gracefully: rooms are saved, records written, connections closed. A second one stops at
once; what was acknowledged to an editor is safe even then.

Examples:
  civicpress-realtime start
  civicpress-realtime start --port 4000
  LOG_LEVEL=debug civicpress-realtime start --config /etc/civicpress/realtime.yml`,

  token: `Print a token that the server of the same configuration accepts.

Usage: civicpress-realtime token --user ID [options]

Options:
  --user ID           the user's id (required)
  --name NAME         name shown to others (default: the id)
  --role ROLE         viewer, editor or admin (default: editor)
  --rooms PATTERNS    limit to rooms, such as records:minutes/*,records:budget (default: no limit)
  --expires TIME      life of the token: 90s, 30m, 8h or 7d (default: 8h)
  --link              print a link to sign in with instead of the bare token
${CONFIG_FILE}
${HELP}

Whoever has the token is that user until it expires: treat it as a password.

Examples:
  civicpress-realtime token --user ada --name "Ada L." --role editor --expires 8h
  civicpress-realtime token --user guest --role viewer --rooms 'records:minutes/*' --link`,

  config: `Check or show the configuration.

Usage: civicpress-realtime config check|print|default [options]

  check               say whether the configuration holds; each error names its key
  print               print every effective value and where it is from; secrets are masked
  default             print a commented file with every key and its default

Options:
${CONFIG_FILE}
${HELP}

Examples:
  civicpress-realtime config check --config realtime.yml
  civicpress-realtime config default > realtime.yml`,

  doctor: `Look for what would keep the server from working here: configuration, folders, port, limits. Then go
through the operator's checklist of docs/security.md.

Usage: civicpress-realtime doctor [options]

Options:
${CONFIG_FILE}
  --token TOKEN       also say whether this token would be accepted, and if not, why
  --origin ORIGIN     also say whether pages of this origin may connect
${HELP}

Examples:
  civicpress-realtime doctor
  civicpress-realtime doctor --origin https://town.example.org`,
};

/** The help screen of a command; the general one for anything else. */
export function helpOf(command?: string): string {
  return (command !== undefined && Object.hasOwn(COMMANDS, command) && COMMANDS[command]) || GENERAL;
}
