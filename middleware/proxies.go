package middleware

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
)

// trusts reports whether the request comes from a trusted proxy.
func (l *location) trusts(r *http.Request) bool {
	return l.socket && isUnixSocket(r) || l.isTrusted(remoteAddress(r))
}

// isTrusted reports whether the address is a trusted proxy's. The zone of a link-local
// address, its network interface, is ignored: prefixes have none.
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

// isUnixSocket looks at the socket that the server listens on. RemoteAddr is "@" or
// empty for a Unix socket, but handlers that set it from a header can write these
// values, too.
func isUnixSocket(r *http.Request) bool {
	address, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && address.Network() == "unix"
}

// unmap converts a prefix of IPv4 addresses in IPv6 form to one of IPv4, the form in
// which addresses are compared.
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
