package grpccredentials

import (
	"context"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"
)

// loopbackOnly are transport credentials without TLS, for connections that do not leave
// this machine.
type loopbackOnly struct{}

// loopbackInfo says that a connection was made by loopbackOnly.
type loopbackInfo struct{ credentials.CommonAuthInfo }

// AuthType names the credentials.
func (loopbackInfo) AuthType() string { return "loopback" }

var (
	errNotLoopback = words("grpccredentials: without TLS, only this machine is called")
	errClientsOnly = errors.New("grpccredentials: these transport credentials are for clients")
)

// ClientHandshake implements credentials.TransportCredentials.
func (loopbackOnly) ClientHandshake(_ context.Context, _ string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if !isOnThisMachine(conn.RemoteAddr()) {
		return nil, nil, errNotLoopback
	}
	return conn, loopbackInfo{credentials.CommonAuthInfo{SecurityLevel: credentials.NoSecurity}}, nil
}

// ServerHandshake implements credentials.TransportCredentials.
func (loopbackOnly) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errClientsOnly
}

// Info implements credentials.TransportCredentials.
func (loopbackOnly) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "insecure"}
}

// Clone implements credentials.TransportCredentials.
func (loopbackOnly) Clone() credentials.TransportCredentials { return loopbackOnly{} }

// OverrideServerName implements credentials.TransportCredentials.
func (loopbackOnly) OverrideServerName(string) error { return nil }
