package app

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/v2"
)

// Config is what the product can be told at its start: by flags, by
// environment (BIHUAN_…), by a configuration file; in this order of weight.
// The zero value of each field is usable.
type Config struct {
	Listen       string        `help:"Address to listen on." default:"127.0.0.1:8080" env:"BIHUAN_LISTEN" placeholder:"HOST:PORT"`
	Data         string        `help:"Folder for the embedded database, attachments and the key file." default:"./data" env:"BIHUAN_DATA" type:"path"`
	Database     string        `help:"PostgreSQL address instead of the embedded SQLite." env:"BIHUAN_DATABASE" placeholder:"postgres://…"`
	Key          string        `help:"Content of the key file, instead of DATA/bihuan.key." env:"BIHUAN_KEY" hidden:""`
	PublicURL    string        `help:"Address customers reach this server under; for links. Default: the address of the request." env:"BIHUAN_PUBLIC_URL" placeholder:"https://…"`
	Proxies      []string      `help:"Networks of reverse proxies whose X-Forwarded-For is believed." env:"BIHUAN_PROXIES" placeholder:"10.0.0.0/8"`
	HSTS         bool          `help:"Tell browsers to come back by TLS only." env:"BIHUAN_HSTS"`
	MetricsToken string        `help:"Bearer token for /metrics from other machines; without it only this machine may read them." env:"BIHUAN_METRICS_TOKEN"`
	MaxUpload    int64         `help:"Largest attachment, MiB." default:"25" env:"BIHUAN_MAX_UPLOAD"`
	LogFormat    string        `help:"text or json." enum:"text,json" default:"text" env:"BIHUAN_LOG_FORMAT"`
	LogLevel     string        `help:"debug, info, warn or error." enum:"debug,info,warn,error" default:"info" env:"BIHUAN_LOG_LEVEL"`
	Grace        time.Duration `help:"How long requests under way may take when the server stops." default:"15s" env:"BIHUAN_GRACE"`
}

// KeyFile is where the encryption keys are.
func (c Config) KeyFile() string { return filepath.Join(c.Data, "bihuan.key") }

// proxies parses the trusted networks.
func (c Config) proxies() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for _, s := range c.Proxies {
		if !strings.Contains(s, "/") {
			if a, err := netip.ParseAddr(s); err == nil {
				out = append(out, netip.PrefixFrom(a, a.BitLen()))
				continue
			}
		}
		p, err := netip.ParsePrefix(s)
		if err != nil {
			return nil, fmt.Errorf("--proxies: %q is no network; write 10.0.0.0/8 or 10.0.0.7", s)
		}
		out = append(out, p)
	}
	return out, nil
}

// fileResolver lets kong take values from a YAML file with the names of the
// flags: `listen: 0.0.0.0:8080`. Unknown names are errors: a misspelt setting
// that is silently ignored is worse than a refusal.
func fileResolver(path string) (kong.Resolver, error) {
	k := koanf.New(".")
	if err := k.Load(file.Provider(path), yaml.Parser()); err != nil {
		return nil, fmt.Errorf("configuration file %s: %w", path, err)
	}
	return kong.ResolverFunc(func(_ *kong.Context, _ *kong.Path, f *kong.Flag) (any, error) {
		if !k.Exists(f.Name) {
			return nil, nil
		}
		return k.Get(f.Name), nil
	}), nil
}

// configPath finds the configuration file before the flags are parsed.
func configPath(args []string) string {
	for i, a := range args {
		if v, ok := strings.CutPrefix(a, "--config="); ok {
			return v
		}
		if a == "--config" && i+1 < len(args) {
			return args[i+1]
		}
	}
	return os.Getenv("BIHUAN_CONFIG")
}
