#!/bin/sh
# Makes the namespace, with its retention, and each search attribute that is given as Name=Type.
# Doing it twice does nothing; a retention that was edited is applied.
set -eu
: "${TEMPORAL_ADDRESS:?}" "${TEMPORAL_NAMESPACE:?}" "${RETENTION:?}"

patiently() {
    attempt=1
    until said=$("$@" 2>&1); do
        [ "$attempt" -lt 60 ] || { echo "given up: $*: $said" >&2; exit 1; }
        attempt=$((attempt + 1))
        sleep 2
    done
}

keep_namespace() {
    if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE"; then
        temporal operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
    else
        temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$RETENTION"
    fi
}

has_attribute() {
    temporal operator search-attribute list --namespace "$TEMPORAL_NAMESPACE" | grep -Eq "^ *$1 +$2 *\$"
}

add_attribute() {
    has_attribute "$1" "$2" ||
        temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" --name "$1" --type "$2"
}

patiently temporal operator cluster health
patiently keep_namespace
# A new namespace is unknown to the server's caches for some seconds.
for attribute in "$@"; do
    patiently add_attribute "${attribute%%=*}" "${attribute#*=}"
    patiently has_attribute "${attribute%%=*}" "${attribute#*=}"
done
echo "namespace $TEMPORAL_NAMESPACE keeps closed workflows for $RETENTION and has: $*"
