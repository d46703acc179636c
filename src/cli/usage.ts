export const USAGE = `entrepot: a pull-through mirror for container images

  entrepot serve [options]          run the mirror
  entrepot check-config [options]   say whether the configuration is right

Options:
  --config FILE    configuration; without it mirrors.yml in the current folder,
                   else the example that comes with the program
  --listen ADDR    host:port or unix:<path>, in place of what the file says
  --data DIR       data folder, in place of what the file says`
