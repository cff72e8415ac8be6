package republisher

import (
	"time"

	"github.com/goipns/ipns"
	"github.com/goipns/ipns/internal/keyspace"
)

// Sectors of the key space. More of them spread the load better; fewer let each
// visit to a server serve more names.
const (
	sectorBits = 6
	sectors    = 1 << sectorBits
)

// sectorOf returns the sector that the name lies in.
func sectorOf(name ipns.Name) int {
	kad := name.Kad()
	return int(kad[0] >> (8 - sectorBits))
}

// regionOf returns the region that a sector is.
func regionOf(sector int) keyspace.Region {
	var k keyspace.Key
	k[0] = byte(sector) << (8 - sectorBits)
	return keyspace.RegionOf(k, sectorBits)
}

// epoch is when the first sector had its turn, whatever the period.
var epoch = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// next returns the next turn of a sector for a name that was put at the given time.
// The first sector has its turn whenever the time since epoch is a multiple of the
// period, and the others follow at equal intervals. A turn less than an eighth of the
// period after the put is skipped: the first wait lasts between 1/8 and 9/8 of the
// period, every other one exactly a period.
func next(put time.Time, sector int, period time.Duration) time.Time {
	offset := period / sectors * time.Duration(sector)
	since := put.Sub(epoch) + period/8 - offset
	turns := since / period
	if since >= 0 {
		turns++
	}
	return epoch.Add(turns*period + offset)
}
