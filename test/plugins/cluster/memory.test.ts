import { createMemoryCluster } from '../../../plugins/cluster/memory.ts'
import { clusterSuite } from './suite.ts'

clusterSuite('memory', async () => {
  const cluster = createMemoryCluster()
  return { a: cluster, b: cluster, close: cluster.close }
})
