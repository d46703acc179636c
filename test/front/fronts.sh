# shellcheck shell=bash
# The examples of deploy/, with addresses and files of this run in place of those that they name.

make_certificate() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=mirror.example' \
    -addext "subjectAltName=DNS:mirror.example,IP:$HOST" \
    -keyout "$WORK/tls.key" -out "$WORK/tls.crt" 2>"$WORK/logs/certificate.err"
  cat "$WORK/tls.crt" "$WORK/tls.key" >"$WORK/tls.pem"
}

start_nginx() {
  write_nginx_conf "$ROOT/deploy/nginx/entrepot.conf" "$WORK"
  spawn nginx nginx -c "$WORK/nginx.conf" -e stderr
  front_answers
}

# write_nginx_conf EXAMPLE FOLDER — makes FOLDER/nginx.conf of it, with all that nginx writes in FOLDER.
write_nginx_conf() {
  local user=
  [ "$(id -u)" -ne 0 ] || user='user root;'
  : >"$WORK/logs/nginx.access"
  replaced "$1" "$2/entrepot.conf" \
    -e "s|listen 443 ssl;|listen $FRONT ssl;|" \
    -e '/listen \[::\]:443/d' \
    -e "s|/etc/nginx/tls/mirror.example|$WORK/tls|" \
    -e "s|/var/log/nginx/entrepot.log|$WORK/logs/nginx.access|" \
    -e "s|server 127.0.0.1:5000;|server $MIRROR;|"
  cat >"$2/nginx.conf" <<CONF
daemon off;
$user
pid $2/nginx.pid;
error_log stderr;
events {}
http {
  client_body_temp_path $2/nginx.body;
  proxy_temp_path $2/nginx.proxy;
  fastcgi_temp_path $2/nginx.fastcgi;
  uwsgi_temp_path $2/nginx.uwsgi;
  scgi_temp_path $2/nginx.scgi;
  gzip on;
  gzip_types *;
  include $2/entrepot.conf;
}
CONF
}

start_haproxy() {
  : >"$WORK/logs/haproxy.access"
  replaced "$ROOT/deploy/haproxy/haproxy.cfg" "$WORK/haproxy.cfg" \
    -e "s|bind :443 ssl crt /etc/haproxy/tls/mirror.example.pem|bind $FRONT ssl crt $WORK/tls.pem|" \
    -e "s|127.0.0.1:5000|$MIRROR|"
  spawn haproxy haproxy -f "$WORK/haproxy.cfg"
  front_answers
}

front_answers() {
  wait_until 10 'it answers' curl -fs --insecure --noproxy '*' "https://$FRONT/readyz"
}

# replaced EXAMPLE FILE SED-ARGUMENT... — fails when something of the example was not found to be replaced.
replaced() {
  local script
  script=("${@:3}")
  sed "${script[@]}" "$1" >"$2"
  if grep -nE '(listen|bind|server) .*(:443|443 ssl|127\.0\.0\.1:5000)|/etc/(nginx|haproxy)/tls|/var/log|/run/entrepot' <(grep -v '^ *#' "$2"); then
    echo 'this would not be of this run' >&2
    return 1
  fi
}
