/** What `entrepot help` says: what there is, and of each command how it is called. */
import { CLIENT_USAGE } from './usage-clients.ts'
import { DOCTOR_USAGE } from './usage-doctor.ts'
import { OPERATOR_USAGE } from './usage-operators.ts'
import { WARM_USAGE } from './usage-warm.ts'

export const USAGE = `entrepot: a pull-through mirror for container images

  entrepot serve [options]            run the mirror
  entrepot config check|show|schema|init
                                      the configuration: whether it is right,
                                      what it means, and a first one
  entrepot check-config [options]     the same as config check
  entrepot status [options]           say how a running mirror is doing; with
                                      --watch, as it changes
  entrepot offline on|off|status      ask no upstream, or ask again; a running
                                      mirror follows within two seconds
  entrepot gc [options]               remove what is over the budget or too old
  entrepot verify [options]           check every stored file against its digest
  entrepot client-config [NAME]       what a client needs to pull through the
                                      mirror; --write puts it in place
  entrepot doctor [options]           what is wrong, and what to do about it

Of operators, on the host of the mirror or from elsewhere:
  entrepot allow add|remove|list      what may come in
  entrepot deny add|remove|list       what is kept out, whatever is allowed
  entrepot requests [list]|approve|dismiss
                                      who asked in vain for what
  entrepot explain IMAGE              what would become of a pull, and why
  entrepot users list|add|passwd|grant|remove
                                      who may log in with a password
  entrepot tokens list|add|remove     keys for robots
  entrepot content list|approve|withdraw|freeze|unfreeze
                                      single digests and tags
  entrepot audit                      who changed what, and when
  entrepot warm IMAGE…                fetch images before anybody pulls them

  entrepot help COMMAND               the options of one, and examples
  entrepot completion bash|zsh|fish   a script that completes all of this
  entrepot --version                  the version

Options:
  --config FILE       configuration; without it mirrors.yml in the current
                      folder, else the example that comes with the program
  --listen ADDR       host:port or unix:<path>, in place of what the file says
  --data DIR          data folder, in place of what the file says
  --json              print data for programs
  --server URL        a running mirror, as https://host:port or unix:<path>
  --token-file FILE   the token that says who asks it; else ENTREPOT_TOKEN

Examples:
  entrepot serve --config /etc/entrepot/mirrors.yml
  entrepot status --server http://mirror.example:5000 --json
  entrepot allow add 'docker.io/library/*' --reason 'for the build' --for 14d
  entrepot requests
  entrepot gc --dry-run
  entrepot verify --rebuild

Exit codes: 0 done; 1 failed, or something is not as it should be; 2 called
wrongly, or nobody could be asked: nothing was changed; 130 and 143 given up at
Ctrl-C or SIGTERM.

There are colours on terminals only, and none where NO_COLOR is set.`

const SOURCE = `  --config FILE    configuration; without it mirrors.yml in the current folder,
                   else the example that comes with the program
  --data DIR       data folder, in place of what the file says`

/** By command. */
export const COMMAND_USAGE: ReadonlyMap<string, string> = new Map([
  [
    'serve',
    `entrepot serve: run the mirror until it is told to end

${SOURCE}
  --listen ADDR    host:port or unix:<path>, in place of what the file says

The file is read again when it changes, and at SIGHUP.

Examples:
  entrepot serve --config /etc/entrepot/mirrors.yml
  entrepot serve --listen 127.0.0.1:5000 --data /var/lib/entrepot`,
  ],
  [
    'config',
    `entrepot config: the configuration; nothing of it is started

  entrepot config check               whether it is right; every mistake at once
  entrepot config show                what counts, with all that it leaves open,
                                      as a mirrors.yml without its secrets
  entrepot config schema              its keys as JSON Schema, for editors
  entrepot config init                write a first mirrors.yml, with comments;
                                      a file that is there stays as it is

  --json           print data for programs
${SOURCE}
  --listen ADDR    host:port or unix:<path>, in place of what the file says

It ends with 1 when check finds a mistake.

Examples:
  entrepot config init
  entrepot config check --config /etc/entrepot/mirrors.yml
  entrepot config show --json
  entrepot config schema > mirrors.schema.json`,
  ],
  [
    'check-config',
    `entrepot check-config: the same as entrepot config check

  --json           print data for programs
${SOURCE}
  --listen ADDR    host:port or unix:<path>, in place of what the file says

Example:
  entrepot check-config --config /etc/entrepot/mirrors.yml`,
  ],
  [
    'status',
    `entrepot status: say how a running mirror is doing

  --watch             draw it again every second, until Ctrl-C; a mirror that
                      cannot be reached is waited for
  --server URL        the mirror to ask, as https://host:port or unix:<path>;
                      without it the one that the configuration describes
  --token-file FILE   file with a token, where the mirror wants to know who
                      asks; else ENTREPOT_TOKEN. It needs the right "operate".
  --json              print data for programs; with --watch one line each time
  --config FILE       configuration; without it mirrors.yml in the current
                      folder, else the example that comes with the program
  --data DIR          data folder, in place of what the file says
  --listen ADDR       host:port or unix:<path>, in place of what the file says

Examples:
  entrepot status
  entrepot status --watch
  entrepot status --server http://mirror.example:5000 --json`,
  ],
  [
    'offline',
    `entrepot offline on|off|status: ask no upstream, or ask again

  entrepot offline on|off|status

  --json           print data for programs
${SOURCE}

A running mirror follows within two seconds.

Example:
  entrepot offline on --data /var/lib/entrepot`,
  ],
  [
    'gc',
    `entrepot gc: remove what is over the budget or too old

  --dry-run        only say what would go and why; works beside a running mirror
  --json           print data for programs
${SOURCE}

Without --dry-run the mirror has to be stopped.

Example:
  entrepot gc --dry-run`,
  ],
  [
    'verify',
    `entrepot verify: check every stored file against its digest

  --rebuild        make the catalog anew from the stored files
  --json           print data for programs
${SOURCE}

The mirror has to be stopped. It ends with 1 when something was damaged.

Example:
  entrepot verify --rebuild`,
  ],
  [
    'completion',
    `entrepot completion bash|zsh|fish: a script that completes commands and options

  entrepot completion bash|zsh|fish

Examples:
  entrepot completion bash > /usr/share/bash-completion/completions/entrepot
  entrepot completion zsh > /usr/local/share/zsh/site-functions/_entrepot
  entrepot completion fish > ~/.config/fish/completions/entrepot.fish`,
  ],
  ...CLIENT_USAGE,
  ...DOCTOR_USAGE,
  ...WARM_USAGE,
  ...OPERATOR_USAGE,
])
