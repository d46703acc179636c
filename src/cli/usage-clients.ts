/** How the commands about clients are called. */

/** By command. */
export const CLIENT_USAGE: readonly (readonly [name: string, usage: string])[] = [
  [
    'client-config',
    `entrepot client-config: what a client needs so that it pulls through the mirror

  entrepot client-config              the clients that there are
  entrepot client-config NAME         what to put where for one, to read
  entrepot client-config NAME --write
                                      put it in place on this host; what is
                                      there already stays, with a copy beside it
                                      that ends in .entrepot-backup
  entrepot client-config NAME --remove
                                      take it out again

What it says:
  --url URL           what clients call the mirror; without it publicUrl of the
                      configuration, or the address that it listens on
  --upstream NAME     a registry that is mirrored, as often as needed; without
                      it those of the configuration
  --no-fallback       the client must not ask the registry itself when the
                      mirror says no
  --ca FILE           certificate authority of the mirror, as PEM
  --username NAME     log in with this name
  --password-file FILE
                      and with the password or token in this file
Where it goes:
  --root DIR          the root folder of another host or of an image
  --home DIR          the home folder of who uses the client, as that host has
                      it; without it that of the user who calls this
  --json              print data for programs
  --config FILE       configuration; without it mirrors.yml in the current
                      folder, else the example that comes with the program
  --listen ADDR       host:port, in place of what the file says

--write and --remove change all files of a client or none, and restart nothing.
They end with 2 where a file cannot be changed, and say what belongs there.

Examples:
  entrepot client-config
  entrepot client-config containerd --url https://mirror.example
  entrepot client-config docker --url http://mirror.example:5000 --write
  entrepot client-config podman --no-fallback --ca ca.pem --write --root /mnt
  entrepot client-config podman --url https://mirror.example --remove`,
  ],
]
