/** How the command that looks for trouble is called. */

/** By command. */
export const DOCTOR_USAGE: readonly (readonly [name: string, usage: string])[] = [
  [
    'doctor',
    `entrepot doctor: what is wrong, and what to do about it

On the host of the mirror it looks at the configuration, the rules, the data
folder, its disk, and each upstream, and asks the mirror if it runs. With
--server it looks from here at a mirror elsewhere, as a node does.

  --server URL        the mirror, as https://host:port or unix:<path>
  --image REF         pull this through the mirror, and verify what comes
  --client NAME       in the way of this client (docker, podman, crane, …);
                      without it as containerd does
  --ca FILE           certificate authority of the mirror, as PEM
  --username NAME     log in with this name
  --password-file FILE
                      and with the password or token in this file
  --token-file FILE   file with a token that may see the status; else the
                      variable ENTREPOT_TOKEN
  --json              print data for programs
  --config FILE       configuration, of which the host is looked at; without
                      it, and without --server, mirrors.yml in the current
                      folder, else the example that comes with the program
  --data DIR          data folder, in place of what the file says
  --listen ADDR       host:port, in place of what the file says

It changes nothing, and removes the file with which it tries the disk. It ends
with 0 when nothing has failed, with 1 when something has; warnings are no
failures.

Examples:
  entrepot doctor
  entrepot doctor --config /etc/entrepot/mirrors.yml --image docker.io/library/redis:7
  entrepot doctor --server https://mirror.example --ca ca.pem
  entrepot doctor --server http://mirror.example:5000 --image quay.io/coreos/etcd:v3.5.9`,
  ],
]
