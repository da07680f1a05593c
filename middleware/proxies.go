package middleware

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
)

// trusts reports that the request comes from a proxy whose word is taken.
func (l *location) trusts(r *http.Request) bool {
	return l.socket && isUnixSocket(r) || l.isTrusted(remoteAddress(r))
}

// isTrusted looks an address up. Its zone, which says by which network interface a
// link-local address is reached, is no part of a prefix.
func (l *location) isTrusted(address netip.Addr) bool {
	address = address.WithZone("")
	return address.IsValid() && slices.ContainsFunc(l.proxies, func(p netip.Prefix) bool { return p.Contains(address) })
}

func remoteAddress(r *http.Request) netip.Addr {
	if address, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		return address.Addr().Unmap()
	}
	return netip.Addr{}
}

// isUnixSocket goes by the socket that the server listens on: RemoteAddr is "@" or
// empty there, which handlers that fill it in from a header can write too.
func isUnixSocket(r *http.Request) bool {
	address, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && address.Network() == "unix"
}

// unmap writes a prefix of IPv4 addresses in IPv6 form as one of IPv4, since
// addresses are compared in that form.
func unmap(prefix netip.Prefix) (_ netip.Prefix, ok bool) {
	const mapped = 96 // bits before the IPv4 address
	if !prefix.IsValid() {
		return prefix, false
	}
	if !prefix.Addr().Is4In6() {
		return prefix, true
	}
	return netip.PrefixFrom(prefix.Addr().Unmap(), prefix.Bits()-mapped), prefix.Bits() >= mapped
}
