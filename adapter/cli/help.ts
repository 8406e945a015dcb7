const GENERAL = `civicpress-realtime: many people edit one public record at the same time.

Usage: civicpress-realtime <command> [options]

Commands:
  start             run the server in the foreground
  token             print a sign-in token
  config check      check the configuration
  config print      print the effective configuration and where each value is from
  config default    print a commented configuration file with all defaults
  doctor            look for what would keep the server from working here
  backup            copy the database while the server runs
  restore           put a backup in the database's place
  snapshots         list, export or bring back versions of a room
  emit              say something in a room of events of a running server
  tail              print what is said in rooms of events
  stress            load a running server from within and measure round trips
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
const SERVER = `  --url URL           the server (default: http://127.0.0.1:3001)
  --token TOKEN       admin.token, or an admin's token (also CIVIC_REALTIME_ADMIN__TOKEN)`;
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
  --core              with the core of the CivicPress this package is installed in, and without its API
${HELP}

With host_api.url and host_api.token configured the CivicPress API is the host: it says who people are, what
they may see, and keeps the texts.

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

  backup: `Copy the database to FILE, consistent and verified, also while the server runs and is busy.

Usage: civicpress-realtime backup FILE [options]

Options:
${CONFIG_FILE}
${HELP}

Every edit acknowledged before the command began is in it. FILE must not exist; it appears only when it is
complete and synced to the disk. Exit code 1 with a file written: rooms that were damaged before are in it.
Records are Markdown files of their own; back up their folder as well.

Examples:
  civicpress-realtime backup /var/backups/realtime-$(date +%F).db
  civicpress-realtime backup copy.db --config /etc/civicpress/realtime.yml`,

  restore: `Put the backup FILE in the place of the database. The server must be stopped.

Usage: civicpress-realtime restore FILE [options]

Options:
${CONFIG_FILE}
${HELP}

FILE is verified first and stays as it is. The database that was there is kept beside the restored one, as
<name>.replaced-<time>. Editors that have newer edits bring them back when they reconnect.

Examples:
  civicpress-realtime restore /var/backups/realtime-2026-11-20.db`,

  snapshots: `List, export or bring back versions of a room. Kept are all of the last hour (at most 60), one per hour for
a day and one per day for thirty days.

Usage: civicpress-realtime snapshots list [ROOM] [options]
       civicpress-realtime snapshots export ROOM -o FILE [--version N] [--markdown] [options]
       civicpress-realtime snapshots restore ROOM --version N [options]

  list                show all rooms, or the versions of one
  export              write a version, or without --version the present state, to a file
  restore             make a record read as a version again; the server must be stopped

Options:
  --version N         the version, as 'list' shows it
  --markdown          export a record as Markdown instead of a Yjs update
  -o, --output FILE   file to write; it must not exist
${CONFIG_FILE}
${HELP}

A restore is a change like any editor's: nothing is undone in the history, what was there before becomes a
version of its own, and whoever still has the record open gets the change.

Examples:
  civicpress-realtime snapshots list records:budget
  civicpress-realtime snapshots export records:budget --version 12 --markdown -o budget.md
  civicpress-realtime snapshots restore records:budget --version 12`,

  emit: `Say something in a room of events of a running server, or to everybody.

Usage: civicpress-realtime emit EVENT [options]

Options:
  --room ROOM         the room (default: everybody)
  --data JSON         what is said
${SERVER}
${HELP}

Examples:
  civicpress-realtime emit maintenance --data '{"at":"22:00"}'
  civicpress-realtime emit message --room chat:lobby --data '{"text":"Welcome"}'`,

  tail: `Print what is said in rooms of events, one JSON object per line, until SIGINT (Ctrl+C).

Usage: civicpress-realtime tail ROOM... [options]

Options:
  --url URL           the server (default: http://127.0.0.1:3001)
  --token TOKEN       a user's token; without one only public rooms can be heard
${HELP}

Examples:
  civicpress-realtime tail public:news
  civicpress-realtime tail collections --token "$(civicpress-realtime token --user ada)"`,

  stress: `Load a running server from within, over its own port, and measure true round trips. Exit code 1: not all that
was said was heard.

Usage: civicpress-realtime stress [options]

Options:
  --connections N     clients, 1 to 1000 (default: 100)
  --rate N            messages per second of all of them, 1 to 10000 (default: 10)
  --duration SECONDS  0.1 to 300 (default: 30)
  --payload BYTES     data of each message, up to 16384 (default: 64)
${SERVER}
${HELP}

Examples:
  civicpress-realtime stress --connections 500 --rate 100 --duration 10`,
};

/** The help screen of a command; the general one for anything else. */
export function helpOf(command?: string): string {
  return (command !== undefined && Object.hasOwn(COMMANDS, command) && COMMANDS[command]) || GENERAL;
}
