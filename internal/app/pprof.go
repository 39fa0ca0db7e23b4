package app

import (
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
)

// serveProfiles lets a developer on this machine look where time and memory go.
// A profile shows what is in memory, so no other machine may have it.
func serveProfiles(address string, log *slog.Logger) {
	host, _, err := net.SplitHostPort(address)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsLoopback() {
		log.Error("profiles are served on a loopback address only", "address", address)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	log.Error("profiles", "err", http.ListenAndServe(address, mux))
}
