export const USAGE = `entrepot: a pull-through mirror for container images

  entrepot serve [options]            run the mirror
  entrepot check-config [options]     say whether the configuration is right
  entrepot status [options]           say how a running mirror is doing
  entrepot offline on|off|status      ask no upstream, or ask again; a running
                                      mirror follows within two seconds
  entrepot gc [options]               remove what is over the budget or too old
  entrepot verify [options]           check every stored file against its digest

Options:
  --config FILE    configuration; without it mirrors.yml in the current folder,
                   else the example that comes with the program
  --listen ADDR    host:port or unix:<path>, in place of what the file says
  --data DIR       data folder, in place of what the file says
  --json           print data for programs (status, gc, verify)

Of status:
  --server URL     the mirror to ask, as http://host:port or unix:<path>;
                   without it the one that the configuration describes
Of gc:
  --dry-run        only say what would go and why; works beside a running mirror
Of verify:
  --rebuild        make the catalog anew from the stored files

gc and verify need the mirror to be stopped. verify ends with 1 when something
was damaged.

Examples:
  entrepot serve --config /etc/entrepot/mirrors.yml
  entrepot status --server http://mirror.example:5000 --json
  entrepot offline on --data /var/lib/entrepot
  entrepot gc --dry-run
  entrepot verify --rebuild`
