// A page that resolves and publishes through the routing API of a node, with Helia.
//
// Bundle it beside index.html, then put the folder on any web server:
//
//   npm install @helia/http@4 @helia/ipns@10 datastore-idb@5 helia@7
//   npx esbuild page.js --bundle --format=esm --minify --outfile=bundle.js
//
// The node needs no more than its gateway to be read from. For it to take what a
// page publishes: ipns config Gateway.RoutingPuts relay
import { withHTTP } from '@helia/http'
import { ipns } from '@helia/ipns'
import { IDBDatastore } from 'datastore-idb'
import { createHeliaLight } from 'helia'

const askAgain = 1000 // ms between two looks at a name that is followed
const ttl = 5000 // ms for which browsers may answer from their cache

const $ = (id) => document.getElementById(id)

// open returns what makes and finds names through a node. The key and the last
// record stay in this browser, so that the next one goes on from there.
async function open (url) {
  const datastore = new IDBDatastore('names-in-a-page')
  await datastore.open()
  const helia = withHTTP(createHeliaLight({ datastore }), {
    delegatedRouters: [url],
    recursiveGateways: [],
    cacheTTL: 0 // Helia would answer from its own cache for five minutes, whatever the TTL
  })
  const names = ipns(helia)
  await helia.start()
  return { names, close: async () => { await helia.stop(); await datastore.close() } }
}

// names asks the node whose address is typed now.
let node = { url: '', opened: Promise.resolve() }
async function names () {
  const url = $('node').value.trim()
  if (url !== node.url) {
    const closed = node.opened.then((before) => before?.close(), () => {})
    node = { url, opened: closed.then(() => open(url)) }
  }
  return (await node.opened).names
}

let following = 0 // counts, so that an older name is no longer shown
$('resolve').addEventListener('submit', async (event) => {
  event.preventDefault()
  const name = $('name').value.trim()
  for (const mine = ++following; mine === following; await new Promise((resolve) => setTimeout(resolve, askAgain))) {
    if (document.hidden) {
      continue
    }
    let shown = ''
    try {
      for await (const { value } of (await names()).resolve(name, { nocache: true })) {
        shown = value // the last one, where a name means another
      }
    } catch (err) {
      shown = err.message
    }
    if (mine === following) {
      $('value').value = shown
    }
  }
})

$('publish').addEventListener('submit', async (event) => {
  event.preventDefault()
  const button = event.submitter
  button.disabled = true
  $('published').value = '…'
  try {
    const { name } = await (await names()).publish('page', $('path').value.trim(), { ttl })
    $('published').value = name
  } catch (err) {
    $('published').value = err.message
  } finally {
    button.disabled = false
  }
})
